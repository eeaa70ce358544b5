{{/*
What the schema cannot say: what is missing or does not fit together, all of it
in one message, each with what to set.
*/}}
{{- define "operator.check" -}}
{{- $faults := list }}
{{- $values := .Values }}
{{- $given := dict }}
{{- range $name, $secret := .Values.secrets }}
{{- $secret = $secret | default dict }}
{{- if and $secret.name $secret.value }}
{{- $faults = append $faults (printf "secrets.%s has a name and a value: keep the name of the Secret that has it" $name) }}
{{- end }}
{{- $_ := set $given $name (or $secret.name $secret.value) }}
{{- end }}
{{- if .Values.bot.enabled }}
{{- if not .Values.matrix.user }}
{{- $faults = append $faults "matrix.user is not set: give the bot's account, such as clawdbot-operator or @clawdbot-operator:example.com" }}
{{- end }}
{{- if not .Values.matrix.homeserver }}
{{- $faults = append $faults "matrix.homeserver is not set: give the homeserver's URL, or the name that its users' ids end in" }}
{{- end }}
{{- if not .Values.commands.allowedUsers }}
{{- $faults = append $faults "commands.allowedUsers is empty: list who may give commands as full ids, such as @alice:example.com" }}
{{- end }}
{{- range $user, $key := .Values.commands.pinnedIdentities }}
{{- if not (has $user $values.commands.allowedUsers) }}
{{- $faults = append $faults (printf "commands.pinnedIdentities names %s, who may give no commands: name the user in commands.allowedUsers too" $user) }}
{{- end }}
{{- end }}
{{- $faults = concat $faults (include "operator.targetFaults" . | fromJsonArray) }}
{{- $method := .Values.matrix.authMethod }}
{{- $own := and (eq $method "jwt") $given.jwtSecret }}
{{- if and (ne $method "token") (not $own) (not $given.matrixPassword) }}
{{- $faults = append $faults (printf "secrets.matrixPassword.name is not set: matrix.authMethod=%s needs the name of a Secret with the account's password" $method) }}
{{- end }}
{{- if eq $method "token" }}
{{- if not $given.matrixAccessToken }}
{{- $faults = append $faults "secrets.matrixAccessToken.name is not set: matrix.authMethod=token needs the name of a Secret with an access token" }}
{{- end }}
{{- if not .Values.matrix.deviceId }}
{{- $faults = append $faults "matrix.deviceId is not set: matrix.authMethod=token needs the device that the access token was made for" }}
{{- end }}
{{- end }}
{{- if and (eq $method "jwt") (not $own) }}
{{- range $name, $what := dict "url" "Keycloak's URL, such as https://keycloak.example.com" "realm" "the name of the realm that the bot's account is in" "clientId" "the id of a client with direct access grants" }}
{{- if not (get $values.keycloak $name) }}
{{- $faults = append $faults (printf "keycloak.%s is not set: matrix.authMethod=jwt needs %s" $name $what) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $own }}
{{- if .Values.keycloak.url }}
{{- $faults = append $faults "secrets.jwtSecret is set, and so is keycloak.url: keep the secret to make tokens here, or the URL to get them from Keycloak" }}
{{- end }}
{{- if ne .Values.matrix.jwtLoginType "com.famedly.login.token" }}
{{- $faults = append $faults (printf "matrix.jwtLoginType is %s, which takes no token made from secrets.jwtSecret: set it to com.famedly.login.token" .Values.matrix.jwtLoginType) }}
{{- end }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- $faults = append $faults "serviceAccount.name is not set: serviceAccount.create=false needs the name of one that is there" }}
{{- end }}
{{- if and .Values.commands.announceRoom (not (include "gateway.leases" .)) }}
{{- $faults = append $faults "commands.announceRoom is set, and there is no gateway whose doings could be told: set gateway.enabled, or gateway.leases to those of another release's gateway" }}
{{- end }}
{{- if and .Values.gateway.leases (not .Values.gateway.enabled) (not (include "operator.named" .)) }}
{{- $faults = append $faults "gateway.leases is set, and no target has an object: name the targets that the gateway wakes as it does" }}
{{- end }}
{{- $set := dict }}
{{- range concat (include "operator.accountEnv" . | fromYamlArray) (include "operator.commandEnv" . | fromYamlArray) }}
{{- $_ := set $set .name true }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if hasKey $set .name }}
{{- $faults = append $faults (printf "extraEnv names %s, which another value sets already: change that one" .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.gateway.enabled }}
{{- $faults = concat $faults (include "gateway.faults" . | fromJsonArray) }}
{{- else if not .Values.bot.enabled }}
{{- $faults = append $faults "bot.enabled and gateway.enabled are both off: set one of them" }}
{{- end }}
{{- if and .Values.proxy.url $given.httpsProxy }}
{{- $faults = append $faults "proxy.url is set, and so is secrets.httpsProxy: keep one of them" }}
{{- end }}
{{- /* Of all names only a Service's may neither begin with a digit nor have a dot. */}}
{{- $fullname := include "operator.fullname" . }}
{{- $service := ternary "metrics.service.enabled" (ternary "gateway.enabled" "" .Values.gateway.enabled) .Values.metrics.service.enabled }}
{{- if and $service (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname)) }}
{{- $faults = append $faults (printf "%s makes a Service, and %s is no name for one: set fullnameOverride to a name of letters, digits and dashes that begins with a letter" $service $fullname) }}
{{- end }}
{{- /* An empty rule or dashboard would be taken for one. */}}
{{- $monitoring := dict
  "files/alerts.yaml" (and .Values.bot.enabled .Values.metrics.prometheusRule.enabled)
  "files/dashboard.json" (and .Values.bot.enabled .Values.metrics.dashboard.enabled)
  "files/gateway-alerts.yaml" (and .Values.gateway.enabled .Values.metrics.prometheusRule.enabled)
  "files/gateway-dashboard.json" (and .Values.gateway.enabled .Values.metrics.dashboard.enabled)
}}
{{- range $file, $wanted := $monitoring }}
{{- if and $wanted (not ($.Files.Get $file | trim)) }}
{{- $faults = append $faults (printf "%s of this chart is missing or empty: take the whole chart, as git or `helm package` gives it" $file) }}
{{- end }}
{{- end }}
{{- if $faults }}
{{- fail (printf "\n  %s\n" (join "\n  " $faults)) }}
{{- end }}
{{- end }}

{{/* What is wrong with the targets, in JSON. */}}
{{- define "operator.targetFaults" -}}
{{- $faults := list }}
{{- $nameless := list }}
{{- $seen := dict }}
{{- $names := dict }}
{{- $own := printf "apps/deployments %s/%s" .Release.Namespace (include "operator.fullname" .) }}
{{- range .Values.targets }}
{{- if not .object }}
{{- $nameless = append $nameless .name }}
{{- end }}
{{- $resource := include "operator.resource" . | fromJson }}
{{- $workload := printf "%s/%s %s/%s" $resource.group $resource.plural (default $.Release.Namespace .namespace) (default .name .object) }}
{{- if eq $workload $own }}
{{- $faults = append $faults (printf "targets names %s, which is the bot itself: once stopped, nothing could start it" $workload) }}
{{- end }}
{{- if hasKey $seen $workload }}
{{- $faults = append $faults (printf "targets names %s twice, as %s and as %s: keep one of them" $workload (get $seen $workload) .name) }}
{{- else if hasKey $names .name }}
{{- $faults = append $faults (printf "targets has two entries with the name %s: give each a name of its own" .name) }}
{{- end }}
{{- $_ := set $seen $workload .name }}
{{- $_ := set $names .name true }}
{{- end }}
{{- if not .Values.targets }}
{{- $faults = append $faults "targets is empty: name the Deployment to scale, as {name: clawdbot, namespace: clawdbot}, or several, as {name: worker, object: openclaw-worker} each" }}
{{- else if and $nameless (gt (len .Values.targets) 1) }}
{{- $faults = append $faults (printf "targets has several entries, and %s without an object: give each the name of what it scales as object; name is then what people call it" (join ", " $nameless)) }}
{{- else if $nameless }}
{{- range $right, $on := .Values.rights }}
{{- if $on }}
{{- $faults = append $faults (printf "rights.%s is on, and nothing uses it: only a target with an object needs it" $right) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}
