{{/* The secrets by their names among the values: the variable that names the file, and the file. */}}
{{- define "operator.secretFiles" -}}
matrixPassword: {variable: MATRIX_PASSWORD_FILE, file: matrix-password}
matrixAccessToken: {variable: MATRIX_ACCESS_TOKEN_FILE, file: matrix-access-token}
matrixRecoveryKey: {variable: MATRIX_RECOVERY_KEY_FILE, file: matrix-recovery-key}
crossSigningSeed: {variable: CROSS_SIGNING_SEED_FILE, file: cross-signing-seed}
keycloakClientSecret: {variable: KEYCLOAK_CLIENT_SECRET_FILE, file: keycloak-client-secret}
keycloakTotpSecret: {variable: KEYCLOAK_TOTP_SECRET_FILE, file: keycloak-totp-secret}
jwtSecret: {variable: JWT_SECRET_FILE, file: jwt-secret}
httpsProxy: {variable: HTTPS_PROXY_FILE, file: https-proxy}
{{- end }}

{{- define "operator.secretsDir" }}/var/run/secrets/operator{{ end }}
{{- define "operator.authoritiesDir" }}/etc/operator/authorities{{ end }}

{{/* What a login needs, as a list of variables. */}}
{{- define "operator.accountEnv" -}}
{{- $values := .Values }}
{{- $method := .Values.matrix.authMethod }}
{{- $plain := list
  (list "MATRIX_HOMESERVER" .Values.matrix.homeserver)
  (list "MATRIX_USER" .Values.matrix.user)
  (list "AUTH_METHOD" $method)
  (list "KEYCLOAK_URL" .Values.keycloak.url)
  (list "KEYCLOAK_REALM" .Values.keycloak.realm)
  (list "KEYCLOAK_CLIENT_ID" .Values.keycloak.clientId)
  (list "KEYCLOAK_ISSUER" .Values.keycloak.issuer)
  (list "JWT_LOGIN_TYPE" (ternary .Values.matrix.jwtLoginType "" (eq $method "jwt")))
  (list "JWT_AUDIENCE" .Values.matrix.jwtAudience)
  (list "SSO_IDP_ID" (ternary .Values.matrix.ssoProvider "" (eq $method "sso")))
  (list "MATRIX_DEVICE_ID" .Values.matrix.deviceId)
  (list "HTTPS_PROXY" .Values.proxy.url)
  (list "NO_PROXY" (join "," .Values.proxy.except))
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
{{- range $name, $file := include "operator.secretFiles" . | fromYaml }}
{{- /* With null a value is taken away. */}}
{{- $secret := get ($values.secrets | default dict) $name | default dict }}
{{- if or $secret.name $secret.value }}
- name: {{ $file.variable }}
  value: {{ include "operator.secretsDir" $ }}/{{ $file.file }}
{{- end }}
{{- end }}
{{- end }}

{{/* What else the bot is told. */}}
{{- define "operator.commandEnv" -}}
{{- $pins := list }}
{{- range $user, $key := .Values.commands.pinnedIdentities }}
{{- $pins = append $pins (printf "%s=%s" $user $key) }}
{{- end }}
{{- $named := include "operator.named" . }}
{{- $target := ternary dict (first .Values.targets | default dict) (not (empty $named)) }}
{{- $plain := list
  (list "ALLOWED_USERS" (join "," .Values.commands.allowedUsers))
  (list "VIEWERS" (join "," .Values.commands.viewers))
  (list "PINNED_IDENTITIES" (join "," $pins))
  (list "DEVICE_TRUST" .Values.commands.deviceTrust)
  (list "ALLOWED_ROOMS" (join "," .Values.commands.allowedRooms))
  (list "REQUIRE_ENCRYPTION" (toString .Values.commands.requireEncryption))
  (list "DEPLOYMENT_NAMESPACE" (ternary "" (default .Release.Namespace $target.namespace) (not (empty $named))))
  (list "DEPLOYMENT_NAME" $target.name)
  (list "TARGETS_FILE" (ternary (printf "%s/targets.json" (include "operator.targetsDir" .)) "" (not (empty $named))))
  (list "CRYPTO_STORE_PATH" .Values.store.path)
  (list "ECHO_MODE" (toString .Values.commands.echo))
  (list "COMMAND_MAX_AGE" .Values.commands.maxAge)
  (list "COMMAND_PREFIX" .Values.commands.prefix)
  (list "TZ" .Values.commands.timeZone)
  (list "MAX_FOR" .Values.commands.maxFor)
  (list "GATEWAY_LEASES" (include "gateway.leases" .))
  (list "ANNOUNCE_ROOM" .Values.commands.announceRoom)
  (list "PROGRESS" (toString .Values.commands.progress))
  (list "WORKLOAD_EVENTS" (ternary (ternary "users" "true" .Values.commands.eventsNameUsers) "" .Values.rights.writeEvents))
  (list "SERVICE_ACCOUNT_DIR" "/var/run/secrets/kubernetes.io/serviceaccount")
  (list "HEALTH_ADDR" (printf ":%v" .Values.health.port))
  (list "HEALTH_SYNC_MAX_AGE" .Values.health.syncMaxAge)
  (list "LOGURU_LEVEL" .Values.log.level)
  (list "RUST_LOG" .Values.log.filter)
}}
{{- range $plain }}
{{- if last . }}
- name: {{ first . }}
  value: {{ last . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a login's files are, and the volumes that they are on. */}}
{{- define "operator.accountMounts" -}}
{{- if include "operator.secretSources" . }}
- name: secrets
  mountPath: {{ include "operator.secretsDir" . }}
  readOnly: true
{{- end }}
{{- if or .Values.authorities.extra.configMap .Values.authorities.only.configMap }}
- name: authorities
  mountPath: {{ include "operator.authoritiesDir" . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "operator.accountVolumes" -}}
{{- with include "operator.secretSources" . | trim }}
- name: secrets
  projected:
    # Through fsGroup; nobody else reads them.
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- include "operator.authoritiesVolume" . }}
{{- end }}

{{- define "operator.authoritiesVolume" -}}
{{- if or .Values.authorities.extra.configMap .Values.authorities.only.configMap }}
- name: authorities
  projected:
    sources:
      {{- range $name := list "extra" "only" }}
      {{- with get $.Values.authorities $name }}
      {{- if .configMap }}
      - configMap:
          name: {{ .configMap | quote }}
          optional: true
          items:
            - key: {{ .key | quote }}
              path: {{ $name }}.crt
      {{- end }}
      {{- end }}
      {{- end }}
{{- end }}
{{- end }}

{{/*
A key that is missing keeps no pod waiting, in which nobody would see why: the
bot says which file it cannot read.
*/}}
{{- define "operator.secretSources" -}}
{{- range $name, $file := include "operator.secretFiles" . | fromYaml }}
{{- with get ($.Values.secrets | default dict) $name }}
{{- if or .name .value }}
- secret:
    name: {{ default (include "operator.fullname" $) .name | quote }}
    optional: true
    items:
      - key: {{ ternary .key $file.file (not (empty .name)) | quote }}
        path: {{ $file.file }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The secrets that the release has itself. */}}
{{- define "operator.ownSecrets" -}}
{{- range $name, $file := include "operator.secretFiles" . | fromYaml }}
{{- with get ($.Values.secrets | default dict) $name }}
{{- if .value }}
{{ $file.file }}: {{ .value | b64enc | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The container's rights on its node, which nothing the bot does asks more of. */}}
{{- define "operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
