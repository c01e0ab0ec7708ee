{{/* Names and labels. */}}

{{- define "barrage.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "barrage.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "barrage.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "barrage.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "barrage.operator" -}}
{{ include "barrage.fullname" . }}-operator
{{- end -}}

{{/* Where the parts of dev.enabled are reached. */}}
{{- define "barrage.kafka" -}}
{{ include "barrage.fullname" . }}-dev-kafka
{{- end -}}
{{- define "barrage.redis" -}}
{{ include "barrage.fullname" . }}-dev-redis
{{- end -}}

{{- define "barrage.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "barrage.selector" -}}
app.kubernetes.io/name: {{ include "barrage.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "barrage.labels" -}}
{{ include "barrage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What every pod of the chart runs with. */}}
{{- define "barrage.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "barrage.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pools may be: the release's namespace, and those that are named for it. */}}
{{- define "barrage.namespaces" -}}
{{ concat (list .Release.Namespace) .Values.watchNamespaces .Values.poolNamespaces | uniq | toJson }}
{{- end -}}
