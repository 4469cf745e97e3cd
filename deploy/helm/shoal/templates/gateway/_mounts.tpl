{{- define "shoal.gateway.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /data}
{{- if .Values.gateway.trustedAuthorities }}
- {name: authorities, mountPath: /authorities, readOnly: true}
{{- end }}
{{- end -}}
