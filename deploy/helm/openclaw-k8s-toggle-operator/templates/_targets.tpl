{{/* True if the targets have names of their own, which takes an object; else empty. */}}
{{- define "operator.named" -}}
{{- range .Values.targets }}
{{- if .object }}true{{ break }}{{ end }}
{{- end }}
{{- end }}

{{- define "operator.targetsName" }}{{ include "operator.fullname" . }}-targets{{ end }}
{{- define "operator.targetsDir" }}/etc/operator/targets{{ end }}

{{/* What TARGETS_FILE names: the targets as they are given, each with its namespace. */}}
{{- define "operator.targetsFile" -}}
{{- $targets := list }}
{{- range .Values.targets }}
{{- $targets = append $targets (merge (dict "namespace" (default $.Release.Namespace .namespace)) .) }}
{{- end }}
{{- dict "targets" $targets | toPrettyJson }}
{{- end }}

{{/*
Group, plural and, if the whole object is read, true of a target, in JSON. Of other
kinds than these two nothing but the scale is known.
*/}}
{{- define "operator.resource" -}}
{{- $kind := default "deployment" .kind }}
{{- if has $kind (list "deployment" "apps/v1/deployments") }}
{{- dict "group" "apps" "plural" "deployments" "whole" true | toJson }}
{{- else if has $kind (list "statefulset" "apps/v1/statefulsets") }}
{{- dict "group" "apps" "plural" "statefulsets" "whole" true | toJson }}
{{- else }}
{{- $path := splitList "/" $kind }}
{{- dict "group" (first $path) "plural" (last $path) "whole" false | toJson }}
{{- end }}
{{- end }}

{{/* The namespaces that have a Deployment or StatefulSet among the targets, in JSON. */}}
{{- define "operator.workloadNamespaces" -}}
{{- $namespaces := list }}
{{- range $namespace, $resources := include "operator.targetsByNamespace" . | fromJson }}
{{- range $resources }}
{{- if .whole }}
{{- $namespaces = append $namespaces $namespace }}
{{- end }}
{{- end }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}

{{/* Of an object that is in no namespace: one dot is before the release's name. */}}
{{- define "operator.policyName" }}{{ .Release.Namespace }}.{{ include "operator.fullname" . }}{{ end }}

{{/*
Of each namespace the resources that targets in it are of, in JSON: each with the
names of these, and of StatefulSets with the names that their pods may have.
*/}}
{{- define "operator.targetsByNamespace" -}}
{{- $namespaces := dict }}
{{- range .Values.targets }}
{{- $namespace := default $.Release.Namespace .namespace }}
{{- $resource := include "operator.resource" . | fromJson }}
{{- $key := printf "%s/%s" $resource.group $resource.plural }}
{{- $resources := get $namespaces $namespace | default dict }}
{{- $before := get $resources $key | default dict }}
{{- $name := default .name .object }}
{{- $_ := set $resource "names" (append ($before.names | default list) $name | uniq) }}
{{- $pods := $before.pods | default list }}
{{- if eq $key "apps/statefulsets" }}
{{- $start := ternary .start 1 (not (kindIs "string" (default "" .start))) }}
{{- /* The bot looks at no more of them. */}}
{{- range $ordinal := until (min 20 (int (default $start .max)) | int) }}
{{- $pods = append $pods (printf "%s-%d" $name $ordinal) }}
{{- end }}
{{- end }}
{{- $_ := set $resource "pods" $pods }}
{{- $_ := set $resources $key $resource }}
{{- $_ := set $namespaces $namespace $resources }}
{{- end }}
{{- toJson $namespaces }}
{{- end }}
