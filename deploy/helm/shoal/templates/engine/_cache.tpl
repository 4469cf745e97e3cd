{{/* Where a pool's downloaded models lie: (list $ POOL-VALUES) */}}
{{- define "shoal.engine.cache" -}}
{{- $cache := (index . 0).Values.engine.cache -}}
{{- $size := (index . 1).cacheSize -}}
- name: cache
  {{- if eq $cache.kind "emptyDir" }}
  emptyDir: {sizeLimit: {{ $size }}}
  {{- else if eq $cache.kind "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $cache.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ $size }}}}
  {{- else if eq $cache.kind "claim" }}
  persistentVolumeClaim: {claimName: {{ required "engine.cache.claim is missing" $cache.claim }}}
  {{- else }}
  hostPath: {path: {{ required "engine.cache.path is missing" $cache.path }}, type: Directory}
  {{- end }}
{{- end -}}
