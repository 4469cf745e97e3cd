{{/* Short enough for a pool's name behind it. */}}
{{- define "shoal.name" -}}
{{- $name := ternary .Release.Name (printf "%s-shoal" .Release.Name) (contains "shoal" .Release.Name) -}}
{{- $name | trunc 34 | trimSuffix "-" -}}
{{- end -}}

{{- define "shoal.gateway.name" -}}{{ include "shoal.name" . }}-gateway{{- end -}}

{{/* Of a pool's engine nodes: (list $ POOL) */}}
{{- define "shoal.engine.name" -}}{{ include "shoal.name" (index . 0) }}-engine-{{ index . 1 }}{{- end -}}

{{/* What pods of the release have in common. */}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shoal.gateway.selector" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "shoal.engine.selector" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/component: engine
{{- end -}}

{{/* (list $ POOL) */}}
{{- define "shoal.pool.selector" -}}
{{ include "shoal.engine.selector" (index . 0) }}
shoal/pool: {{ index . 1 }}
{{- end -}}

{{/* Of every object. */}}
{{- define "shoal.labels" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (list $ IMAGE DEFAULT-TAG) */}}
{{- define "shoal.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 2) }}{{ end -}}
{{- end -}}
