{{/* What every pod has: no rights, no token, and no variables made of services' names (one called `shoal` would be SHOAL_PORT). */}}
{{- define "shoal.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "shoal.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* A variable from the Secret: (list $ NAME OPTIONAL) */}}
{{- define "shoal.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ (index . 0).Values.existingSecret }}
      key: {{ index . 1 }}
      {{- if index . 2 }}
      optional: true
      {{- end }}
{{- end -}}

{{- define "shoal.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Even over zones and machines, as far as there are some: (list SELECTOR) */}}
{{- define "shoal.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- index $ 0 | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* Whether several gateway processes count quotas, which they can only do together: "true" or "". */}}
{{- define "shoal.gateway.several" -}}
{{- $gateway := .Values.gateway -}}
{{- if or (gt (int $gateway.workers) 1) $gateway.autoscaling.enabled (gt (int $gateway.replicas) 1) -}}true{{- end -}}
{{- end -}}

{{/* Seconds that a request waits while the pool has no node: (list $ POOL-VALUES); empty where the program's own will do. */}}
{{- define "shoal.pool.patience" -}}
{{- $pool := index . 1 -}}
{{- if hasKey $pool "patience" }}{{ $pool.patience }}{{ else if eq (int $pool.min) 0 }}45{{ end -}}
{{- end -}}

{{/* What KEDA asks: (list $ POOL). No `or vector(0)`: that nobody knows is not that nobody wants it. */}}
{{- define "shoal.pool.demand" -}}
sum(shoal_gateway_pool_demand{namespace="{{ (index . 0).Release.Namespace }}",pool="{{ index . 1 }}"})
{{- end -}}
