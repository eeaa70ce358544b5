{{/* Of the gateway's objects. */}}
{{- define "gateway.fullname" }}{{ include "operator.fullname" . }}-gateway{{ end }}

{{- define "gateway.selectorLabels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "gateway.labels" -}}
{{ include "operator.labels" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.gateway.serviceAccount.create }}
{{- default (include "gateway.fullname" .) .Values.gateway.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.gateway.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gateway.configDir" }}/etc/gateway{{ end }}
{{- define "gateway.tlsDir" }}/var/run/secrets/gateway-tls{{ end }}

{{/* What the names of the Leases begin with: of the release, as all other names. */}}
{{- define "gateway.leasePrefix" }}{{ include "gateway.fullname" . }}-{{ end }}

{{/*
Where the Leases are that the bot takes part in, as GATEWAY_LEASES has it; nothing
without a gateway, or where targets have no names that both could mean.
*/}}
{{- define "gateway.leases" -}}
{{- if not (include "operator.named" .) }}
{{- else if .Values.gateway.enabled }}
{{- printf "%s/%s" .Release.Namespace (include "gateway.leasePrefix" .) }}
{{- else }}
{{- .Values.gateway.leases }}
{{- end }}
{{- end }}

{{/* The targets of the gateway with their namespaces, group and plural, in JSON. */}}
{{- define "gateway.targets" -}}
{{- $targets := dict }}
{{- range $name, $target := .Values.gateway.config.targets | default dict }}
{{- $resource := include "operator.resource" (dict "kind" (default "deployment" $target.kind | lower)) | fromJson }}
{{- $_ := set $targets $name (merge (dict "namespace" (default $.Release.Namespace $target.namespace)) $resource $target) }}
{{- end }}
{{- toJson $targets }}
{{- end }}

{{/* What GATEWAY_CONFIG names: the values as they are given, each target with its namespace. */}}
{{- define "gateway.file" -}}
{{- $file := deepCopy .Values.gateway.config }}
{{- range $name, $target := $file.targets }}
{{- $_ := set $target "namespace" (default $.Release.Namespace $target.namespace) }}
{{- end }}
{{- toPrettyJson $file }}
{{- end }}

{{/* k8sTrust of the file, in JSON, wherever the file has it. */}}
{{- define "gateway.trust" -}}
{{- $config := .Values.gateway.config }}
{{- default dict (default (dig "gateway" "auth" "k8sTrust" dict $config) $config.k8sTrust) | toJson }}
{{- end }}

{{/* DRAIN_TIMEOUT in seconds. */}}
{{- define "gateway.drainSeconds" -}}
{{- $text := toString .Values.gateway.drainTimeout | lower }}
{{- if hasSuffix "m" $text }}
{{- mul 60 (trimSuffix "m" $text | int) }}
{{- else }}
{{- trimSuffix "s" $text | int }}
{{- end }}
{{- end }}

{{/* What the gateway is told, as a list of variables. */}}
{{- define "gateway.env" -}}
{{- $gateway := .Values.gateway }}
{{- $plain := list
  (list "GATEWAY_CONFIG" (printf "%s/gateway.json" (include "gateway.configDir" .)))
  (list "PROXY_ADDR" (printf ":%v" $gateway.ports.proxy))
  (list "API_ADDR" (printf ":%v" $gateway.ports.api))
  (list "HEALTH_ADDR" (printf ":%v" $gateway.ports.health))
  (list "TLS_CERT_FILE" (ternary (printf "%s/tls.crt" (include "gateway.tlsDir" .)) "" (not (empty $gateway.tls.secretName))))
  (list "TLS_KEY_FILE" (ternary (printf "%s/tls.key" (include "gateway.tlsDir" .)) "" (not (empty $gateway.tls.secretName))))
  (list "TRUSTED_PROXIES" (join "," $gateway.trustedProxies))
  (list "TOKEN_AUDIENCE" $gateway.tokenAudience)
  (list "OIDC_ISSUER_URL" $gateway.oidc.issuerURL)
  (list "OIDC_AUDIENCE" $gateway.oidc.audience)
  (list "OIDC_ALLOWED_CLIENTS" (join "," $gateway.oidc.allowedClients))
  (list "OIDC_ROLES_CLAIM" (ternary $gateway.oidc.rolesClaim "" (not (empty $gateway.oidc.issuerURL))))
  (list "OIDC_ALGORITHMS" (ternary (join "," $gateway.oidc.algorithms) "" (not (empty $gateway.oidc.issuerURL))))
  (list "OIDC_MAX_LIFETIME" (ternary $gateway.oidc.maxLifetime "" (not (empty $gateway.oidc.issuerURL))))
  (list "LEASE_PREFIX" (include "gateway.leasePrefix" .))
  (list "MAX_CONNECTIONS" (int $gateway.maxConnections))
  (list "MAX_HELD" (int $gateway.maxHeld))
  (list "DRAIN_TIMEOUT" $gateway.drainTimeout)
  (list "SERVICE_ACCOUNT_DIR" "/var/run/secrets/kubernetes.io/serviceaccount")
  (list "HTTPS_PROXY" .Values.proxy.url)
  (list "NO_PROXY" (join "," .Values.proxy.except))
  (list "LOGURU_LEVEL" .Values.log.level)
  (list "RUST_LOG" .Values.log.filter)
}}
{{- range $plain }}
{{- if last . }}
- name: {{ first . }}
  value: {{ last . | quote }}
{{- end }}
{{- end }}
{{- with .Values.authorities.only.configMap }}
- name: SSL_CERT_FILE
  value: {{ include "operator.authoritiesDir" $ }}/only.crt
{{- end }}
{{- with .Values.authorities.extra.configMap }}
- name: EXTRA_CA_FILE
  value: {{ include "operator.authoritiesDir" $ }}/extra.crt
{{- end }}
{{- if include "gateway.proxySecret" . }}
- name: HTTPS_PROXY_FILE
  value: {{ include "operator.secretsDir" . }}/https-proxy
{{- end }}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $path }}
{{- end }}
{{- end }}

{{/* The one secret that the gateway may be given: the proxy with its password. */}}
{{- define "gateway.proxySecret" -}}
{{- $secret := (.Values.secrets | default dict).httpsProxy | default dict }}
{{- if or $secret.name $secret.value -}}
secret:
  name: {{ default (include "operator.fullname" .) $secret.name | quote }}
  optional: true
  items:
    - key: {{ ternary $secret.key "https-proxy" (not (empty $secret.name)) | quote }}
      path: https-proxy
{{- end }}
{{- end }}

{{/*
What the gateway needs in each namespace of its targets, in JSON: the workloads by
resource, the Services by name, and true if their EndpointSlices are followed.
*/}}
{{- define "gateway.namespaces" -}}
{{- $namespaces := dict }}
{{- range $name, $target := include "gateway.targets" . | fromJson }}
{{- $space := get $namespaces $target.namespace | default (dict "resources" dict "services" list "slices" false) }}
{{- $key := printf "%s/%s" $target.group $target.plural }}
{{- $resource := get $space.resources $key | default (dict "group" $target.group "plural" $target.plural "names" list) }}
{{- $_ := set $resource "names" (append $resource.names $target.name | uniq) }}
{{- $_ := set $space.resources $key $resource }}
{{- if $target.service }}
{{- $_ := set $space "services" (append $space.services $target.service | uniq) }}
{{- if ne "service" (default "pod" $target.route) }}
{{- $_ := set $space "slices" true }}
{{- end }}
{{- end }}
{{- $_ := set $namespaces $target.namespace $space }}
{{- end }}
{{- toJson $namespaces }}
{{- end }}

{{/* The namespaces of the service accounts that may ask, in JSON; one that is * stands for all. */}}
{{- define "gateway.callers" -}}
{{- $namespaces := list }}
{{- $trust := include "gateway.trust" . | fromJson }}
{{- if $trust.enabled }}
{{- range $trust.allowedIdentities }}
{{- $namespaces = append $namespaces .namespace }}
{{- end }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}

{{/* Their pods as peers of a NetworkPolicy. */}}
{{- define "gateway.callerPeers" -}}
{{- $namespaces := include "gateway.callers" . | fromJsonArray }}
{{- if has "*" $namespaces }}
- namespaceSelector: {}
{{- else if $namespaces }}
- namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson $namespaces }}
{{- end }}
{{- end }}

{{/* The hosts that are asked for, in JSON. */}}
{{- define "gateway.hosts" -}}
{{- $hosts := list }}
{{- range $name, $target := .Values.gateway.config.targets }}
{{- with $target.host }}
{{- $hosts = append $hosts . }}
{{- end }}
{{- /* A name that only pods resolve gets no certificate, and nobody asks an Ingress for it. */}}
{{- range $target.hosts }}
{{- if and (contains "." .) (not (regexMatch "\\.svc(\\.|$)" .)) }}
{{- $hosts = append $hosts . }}
{{- end }}
{{- end }}
{{- end }}
{{- $hosts | uniq | sortAlpha | toJson }}
{{- end }}
