{{/* What is wrong with the gateway's values that the schema cannot say, in JSON. */}}
{{- define "gateway.faults" -}}
{{- $faults := list }}
{{- $gateway := .Values.gateway }}
{{- $config := $gateway.config }}
{{- $targets := include "gateway.targets" . | fromJson }}
{{- if not $targets }}
{{- $faults = append $faults "gateway.config.targets is empty: name what is switched, as {worker: {name: openclaw-worker}}" }}
{{- end }}
{{- $workloads := dict }}
{{- $hosts := dict }}
{{- $services := dict }}
{{- $own := dict
  (printf "apps/deployments %s/%s" .Release.Namespace (include "operator.fullname" .)) "the bot"
  (printf "apps/deployments %s/%s" .Release.Namespace (include "gateway.fullname" .)) "the gateway"
}}
{{- /* The Service of the identity provider, if it is one of the cluster. */}}
{{- $provider := "" }}
{{- with $gateway.oidc.issuerURL }}
{{- $labels := regexReplaceAll ":[0-9]*$" (urlParse .).host "" | lower | splitList "." }}
{{- if and (ge (len $labels) 3) (eq "svc" (index $labels 2)) }}
{{- $provider = printf "%s/%s" (index $labels 1) (index $labels 0) }}
{{- end }}
{{- end }}
{{- range $name, $target := $targets }}
{{- $workload := printf "%s/%s %s/%s" $target.group $target.plural $target.namespace $target.name }}
{{- with get $own $workload }}
{{- $faults = append $faults (printf "gateway.config.targets.%s is %s, which is %s itself: once stopped, nothing could start it" $name $workload .) }}
{{- end }}
{{- with get $workloads $workload }}
{{- $faults = append $faults (printf "gateway.config.targets names %s twice, as %s and as %s: keep one of them" $workload . $name) }}
{{- end }}
{{- $_ := set $workloads $workload $name }}
{{- if and $target.host $target.hosts }}
{{- $faults = append $faults (printf "gateway.config.targets.%s has host and hosts: keep one of them" $name) }}
{{- end }}
{{- $names := $target.hosts | default list }}
{{- with $target.host }}
{{- $names = append $names . }}
{{- end }}
{{- $objects := list (printf "%s/%s" $target.namespace $target.name) (printf "%s/%s" $target.namespace ($target.service | default "")) }}
{{- if and $provider (has $provider $objects) }}
{{- $faults = append $faults (printf "gateway.config.targets.%s is what gateway.oidc.issuerURL leads to: while it is off, no token of a person can be checked, so that nobody could start it" $name) }}
{{- end }}
{{- range $host := $names }}
{{- with get $hosts $host }}
{{- $faults = append $faults (printf "gateway.config.targets names the host %s twice, as %s and as %s: give each a host of its own" $host . $name) }}
{{- end }}
{{- $_ := set $hosts $host $name }}
{{- end }}
{{- with $target.service }}
{{- $service := printf "%s/%s" $target.namespace . }}
{{- with get $services $service }}
{{- $faults = append $faults (printf "gateway.config.targets names the Service %s twice, as %s and as %s: give each a Service of its own, for the pods of its object alone" $service . $name) }}
{{- end }}
{{- $_ := set $services $service $name }}
{{- end }}
{{- if not $names }}
{{- if $target.idle }}
{{- $faults = append $faults (printf "gateway.config.targets.%s has idle and no host: only use of what the proxy leads to is seen; give it a host, or leave idle out and start it with for" $name) }}
{{- end }}
{{- range list "route" "onCold" "pageStatus" "hold" "maxHeld" "wakeBy" "noWakePaths" "noWakeAgents" "preflight" "upstreamHost" "identityHeaders" }}
{{- if hasKey $target . }}
{{- $faults = append $faults (printf "gateway.config.targets.%s has %s and no host: give it a host, or leave %s out" $name . .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range list "idleStop" "presence" "minUp" }}
{{- if and (hasKey $target .) (not $target.idle) }}
{{- $faults = append $faults (printf "gateway.config.targets.%s has %s and no idle: give it an idle time, or leave %s out" $name . .) }}
{{- end }}
{{- end }}
{{- $way := list }}
{{- range list "host" "hosts" "service" "port" }}
{{- if hasKey $target . }}
{{- $way = append $way . }}
{{- end }}
{{- end }}
{{- if and $way (lt (len $way) 3) }}
{{- $faults = append $faults (printf "gateway.config.targets.%s has %s alone: what is reached by the proxy has host or hosts, service and port" $name (join " and " $way)) }}
{{- end }}
{{- end }}
{{- $roles := $config.roles | default dict }}
{{- range $role, $rule := $roles }}
{{- range $rule.targets }}
{{- if and (ne . "*") (not (hasKey $targets .)) }}
{{- $faults = append $faults (printf "gateway.config.roles.%s names the target %s, which gateway.config.targets does not have" $role .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $trust := include "gateway.trust" . | fromJson }}
{{- if and $trust.enabled (not $trust.allowedIdentities) }}
{{- $faults = append $faults "gateway.config's k8sTrust is enabled and its allowedIdentities is empty: list who may ask, as {namespace: openclaw, serviceAccount: openclaw-worker, allowedRoles: [node]}" }}
{{- end }}
{{- range $trust.allowedIdentities }}
{{- $who := printf "%s/%s" .namespace .serviceAccount }}
{{- range .allowedRoles }}
{{- if not (hasKey $roles .) }}
{{- $faults = append $faults (printf "gateway.config's k8sTrust gives %s the role %s, which gateway.config.roles does not have: add %s: {targets: [...], verbs: [...]}" $who . .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $role, $mapped := $config.oidcRoles | default dict }}
{{- range $mapped }}
{{- if not (hasKey $roles .) }}
{{- $faults = append $faults (printf "gateway.config.oidcRoles.%s names the role %s, which gateway.config.roles does not have: add %s: {targets: [...], verbs: [...]}" $role . .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $gateway.oidc.issuerURL }}
{{- range $name, $what := dict "audience" "what tokens have to carry in aud, such as openclaw-gateway" "allowedClients" "the clients that tokens may be made for, such as [openclaw-cli]" }}
{{- if not (get $gateway.oidc $name) }}
{{- $faults = append $faults (printf "gateway.oidc.%s is not set: gateway.oidc.issuerURL needs %s" $name $what) }}
{{- end }}
{{- end }}
{{- else }}
{{- if $config.oidcRoles }}
{{- $faults = append $faults "gateway.config.oidcRoles is set, and gateway.oidc.issuerURL is not: give the issuer, such as https://keycloak.example.com/realms/openclaw" }}
{{- end }}
{{- range list "audience" "allowedClients" }}
{{- if get $gateway.oidc . }}
{{- $faults = append $faults (printf "gateway.oidc.%s is set, and gateway.oidc.issuerURL is not" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $ports := dict }}
{{- range $name, $port := $gateway.ports }}
{{- with get $ports (toString $port) }}
{{- $faults = append $faults (printf "gateway.ports.%s and gateway.ports.%s are one port: give each its own" . $name) }}
{{- end }}
{{- $_ := set $ports (toString $port) $name }}
{{- end }}
{{- if eq (int $gateway.service.port) (int $gateway.service.apiPort) }}
{{- $faults = append $faults "gateway.service.port and gateway.service.apiPort are one port: give each its own" }}
{{- end }}
{{- $faults = concat $faults (include "gateway.memoryFaults" . | fromJsonArray) }}
{{- if .Values.bot.enabled }}
{{- $faults = concat $faults (include "gateway.nameFaults" . | fromJsonArray) }}
{{- end }}
{{- if gt (int $gateway.maxHeld) (int $gateway.maxConnections) }}
{{- $faults = append $faults (printf "gateway.maxHeld is %d, and gateway.maxConnections is %d: lower it, since each that waits has a connection" (int $gateway.maxHeld) (int $gateway.maxConnections)) }}
{{- end }}
{{- if $gateway.leases }}
{{- $faults = append $faults "gateway.leases is for a gateway of another release, and gateway.enabled has this one make its own: leave gateway.leases out" }}
{{- end }}
{{- if and $gateway.ingress.enabled (not (include "gateway.hosts" . | fromJsonArray)) }}
{{- $faults = append $faults "gateway.ingress.enabled leads to no target: give one of gateway.config.targets a host" }}
{{- end }}
{{- range $name, $_ := $gateway.isolate }}
{{- if not (hasKey (get $targets $name | default dict) "service") }}
{{- $faults = append $faults (printf "gateway.isolate.%s is no target with a service: nothing could reach it any more" $name) }}
{{- end }}
{{- end }}
{{- range $name, $autoscaler := $gateway.autoscalers }}
{{- if gt (int (default 1 $autoscaler.minReplicas)) (int $autoscaler.maxReplicas) }}
{{- $faults = append $faults (printf "gateway.autoscalers.%s has a minReplicas of %d, and its maxReplicas is %d: raise that" $name (int $autoscaler.minReplicas) (int $autoscaler.maxReplicas)) }}
{{- end }}
{{- if not (hasKey $targets $name) }}
{{- $faults = append $faults (printf "gateway.autoscalers.%s is no target of gateway.config.targets" $name) }}
{{- end }}
{{- end }}
{{- if and (not $gateway.serviceAccount.create) (not $gateway.serviceAccount.name) }}
{{- $faults = append $faults "gateway.serviceAccount.name is not set: gateway.serviceAccount.create=false needs the name of one that is there" }}
{{- end }}
{{- $set := dict }}
{{- range include "gateway.env" . | fromYamlArray }}
{{- $_ := set $set .name true }}
{{- end }}
{{- range $gateway.extraEnv }}
{{- if hasKey $set .name }}
{{- $faults = append $faults (printf "gateway.extraEnv names %s, which another value sets already: change that one" .name) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/*
Whether the memory is enough for the connections, as docs/gateway.md reckons it: 12 MiB, and
32 KiB for each place. What is no plain quantity is left to Kubernetes.
*/}}
{{- define "gateway.memoryFaults" -}}
{{- $faults := list }}
{{- $gateway := .Values.gateway }}
{{- $limit := $gateway.resources | default dict | dig "limits" dict | default dict | dig "memory" "" }}
{{- /* A number comes as a float, which would be printed with an exponent. */}}
{{- $limit = kindIs "string" $limit | ternary $limit (int64 $limit | toString) }}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([KMGT]i|[kMGT])?$" $limit }}
{{- $unit := regexFind "[KMGT]i$|[kMGT]$" $limit }}
{{- $given := mulf (trimSuffix $unit $limit | float64) (get $units $unit) }}
{{- $needed := add 12288 (mul 32 (int $gateway.maxConnections)) }}
{{- if lt $given (mulf $needed 1024) }}
{{- $faults = append $faults (printf "gateway.resources.limits.memory is %s, and gateway.maxConnections of %d need %dKi: raise the one, or lower the other" $limit (int $gateway.maxConnections) $needed) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/*
Bot and gateway take a name for one object: by it the bot looks for what the gateway knows
of a target, and the gateway for what was said of it in the chat.
*/}}
{{- define "gateway.nameFaults" -}}
{{- $faults := list }}
{{- $targets := include "gateway.targets" . | fromJson }}
{{- $names := dict }}
{{- range $name, $target := $targets }}
{{- $_ := set $names (printf "%s/%s %s/%s" $target.group $target.plural $target.namespace $target.name) $name }}
{{- end }}
{{- range .Values.targets }}
{{- if .object }}
{{- $resource := include "operator.resource" . | fromJson }}
{{- $workload := printf "%s/%s %s/%s" $resource.group $resource.plural (default $.Release.Namespace .namespace) .object }}
{{- $called := get $names $workload }}
{{- if and $called (ne $called .name) }}
{{- $faults = append $faults (printf "targets names %s %s, and gateway.config.targets names it %s: give it one name in both, by which bot and gateway agree" $workload .name $called) }}
{{- else if and (not $called) (hasKey $targets .name) }}
{{- $faults = append $faults (printf "targets and gateway.config.targets have other objects by the name %s, in targets %s: give one of them another name" .name $workload) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}
