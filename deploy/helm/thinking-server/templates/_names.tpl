{{- define "thinking-server.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "thinking-server.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "thinking-server.labels" -}}
{{ include "thinking-server.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "thinking-server.engineName" -}}
{{ include "thinking-server.name" . }}-engine
{{- end }}

{{- /* Another name than the front end's, whose Service must not find engines. */ -}}
{{- define "thinking-server.engineSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-engine
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "thinking-server.engineLabels" -}}
{{ include "thinking-server.engineSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "thinking-server.isRemote" -}}
{{- if eq .Values.engine.tier "remote" }}true{{ end }}
{{- end }}

{{- define "thinking-server.hasEngines" -}}
{{- if and (include "thinking-server.isRemote" .) .Values.engine.create }}true{{ end }}
{{- end }}

{{- /* Where the front ends find the engines: a line for each URL. */ -}}
{{- define "thinking-server.engineUrls" -}}
{{- $name := include "thinking-server.engineName" . }}
{{- $port := int .Values.engine.port }}
{{- if .Values.engine.urls }}
{{- range .Values.engine.urls }}
- {{ . | quote }}
{{- end }}
{{- else if eq .Values.engine.addressing "pods" }}
{{- range until (int .Values.engine.replicas) }}
- {{ printf "http://%s-%d.%s:%d" $name . $name $port | quote }}
{{- end }}
{{- else }}
- {{ printf "http://%s:%d" $name $port | quote }}
{{- end }}
{{- end }}
