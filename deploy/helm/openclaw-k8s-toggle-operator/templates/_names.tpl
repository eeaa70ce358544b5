{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Of the release, so that several can be in one namespace. */}}
{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "operator.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- /* Room for what is put behind it. */}}
{{- if le (len $full) 50 }}
{{- $full }}
{{- else }}
{{- /* Cut off, two long names could become one. */}}
{{- printf "%s-%s" ($full | trunc 41 | trimSuffix "-") (sha256sum $full | trunc 8) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "operator.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The name of the Role in a namespace: context and namespace in a list. Releases of
one name in two namespaces may scale in the same third one. A colon can be in no
namespace's name, nor in a release's.
*/}}
{{- define "operator.roleName" -}}
{{- $context := first . }}
{{- $fullname := include "operator.fullname" $context }}
{{- if eq (last .) $context.Release.Namespace }}
{{- $fullname }}
{{- else }}
{{- printf "%s:%s" $context.Release.Namespace $fullname }}
{{- end }}
{{- end }}
