{{- define "stature.name" -}}
{{- (contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* What finds the pods of one component: (list $ "service") */ -}}
{{- define "stature.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "stature.labels" -}}
{{- $root := first . -}}
{{ include "stature.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* An image by its digest, or by its tag: (list $ .Values.images.serve) */ -}}
{{- define "stature.image" -}}
{{- $image := last . -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default (first .).Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "stature.claim" -}}
{{ .Values.registry.volume.existingClaim | default (printf "%s-registry" (include "stature.name" .)) }}
{{- end }}

{{- /* A pod's labels, which are what finds it and the user's own, and its annotations: (list $ (include "stature.…")) */ -}}
{{- define "stature.podMetadata" -}}
{{- with first . -}}
labels: {{- merge (last $ | fromYaml) .Values.podLabels | toYaml | nindent 2 }}
{{- with .Values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The pod of every component is as little as it can be: no root, no token, no capability, no writable file system. */ -}}
{{- define "stature.pod" -}}
serviceAccountName: {{ include "stature.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stature.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Where the registry is, and how it is opened. */ -}}
{{- define "stature.registryEnvironment" -}}
- {name: STATURE_MODEL, value: {{ .Values.model | quote }}}
{{- if .Values.registry.url }}
- {name: STATURE_REGISTRY, value: {{ .Values.registry.url | quote }}}
{{- end }}
{{- range $name, $value := .Values.registry.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "stature.credentials" -}}
{{- with .Values.registry.credentialsSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "stature.temporaryVolume" -}}
- name: temporary
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end }}

{{- define "stature.registryVolume" -}}
{{- if not .Values.registry.url }}
- name: registry
  persistentVolumeClaim: {claimName: {{ include "stature.claim" . }}}
{{- end }}
{{- end }}

{{- /* The pod that trains, with further arguments: (list $ (list "--if-empty")) */ -}}
{{- define "stature.trainer" -}}
{{- $root := first . -}}
{{- with $root -}}
{{ include "stature.pod" . }}
restartPolicy: Never
containers:
  - name: train
    image: {{ include "stature.image" (list . .Values.images.train) }}
    imagePullPolicy: {{ .Values.images.pullPolicy }}
    args: {{ concat (list "train") (last $) | toJson }}
    env:
      {{- include "stature.registryEnvironment" . | nindent 6 }}
    {{- include "stature.credentials" . | nindent 4 }}
    securityContext: {{- include "stature.containerSecurity" . | nindent 6 }}
    resources: {{- toYaml .Values.resources.train | nindent 6 }}
    volumeMounts:
      - {name: temporary, mountPath: /tmp}
      {{- if not .Values.registry.url }}
      - {name: registry, mountPath: /var/lib/stature/registry}
      {{- end }}
      {{- if .Values.retraining.dataClaim }}
      - {name: data, mountPath: /data, readOnly: true}
      {{- end }}
volumes:
  {{- include "stature.temporaryVolume" . | nindent 2 }}
  {{- include "stature.registryVolume" . | nindent 2 }}
  {{- with .Values.retraining.dataClaim }}
  - name: data
    persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
  {{- end }}
{{- end }}
{{- end }}
