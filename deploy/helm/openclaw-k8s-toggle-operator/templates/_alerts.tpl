{{/*
The alerts with the limit on memory that the release has. Where it has none, the
alert on what is near the limit is left out.
*/}}
{{- define "operator.alerts" -}}
{{- $alerts := .Files.Get "files/alerts.yaml" }}
{{- $limit := .Values.resources | default dict | dig "limits" "memory" "" }}
{{- if $limit }}
{{- /* A number comes as a float, which would be printed with an exponent. */}}
{{- $limit = kindIs "string" $limit | ternary $limit (int64 $limit | toString) }}
{{- $unit := regexFind "([KMGT]i|[kMGT])$" $limit }}
{{- $amount := trimSuffix $unit $limit }}
{{- $bytes := list $amount }}
{{- range until (dict "" 0 "k" 1 "K" 1 "M" 2 "G" 3 "T" 4 | dig (trimSuffix "i" $unit) 0) }}
{{- $bytes = append $bytes (hasSuffix "i" $unit | ternary "1024" "1000") }}
{{- end }}
{{- $alerts | replace "16 * 1024 * 1024" (join " * " $bytes) | replace "of 16 MiB" (printf "of %s %sB" $amount $unit) }}
{{- else }}
{{- $spec := fromYaml $alerts }}
{{- range $spec.groups }}
{{- $rules := list }}
{{- range .rules }}
{{- if ne .alert "OpenclawToggleMemoryHigh" }}
{{- $rules = append $rules . }}
{{- end }}
{{- end }}
{{- $_ := set . "rules" $rules }}
{{- end }}
{{- toYaml $spec }}
{{- end }}
{{- end }}
