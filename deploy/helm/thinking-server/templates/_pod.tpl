{{- /* Takes the values of a tier. */ -}}
{{- define "thinking-server.placement" -}}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "thinking-server.resources" -}}
{{- $resources := deepCopy .resources }}
{{- if gt (int .gpu.count) 0 }}
{{- $limits := merge (dict .gpu.resource (int .gpu.count)) (default (dict) $resources.limits) }}
{{- $resources = set $resources "limits" $limits }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "thinking-server.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "thinking-server.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Takes a dictionary: tier, its values; claim, the name of its claim. */ -}}
{{- define "thinking-server.volumes" -}}
- name: models
  {{- if or .tier.modelCache.persistent .tier.modelCache.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ default .claim .tier.modelCache.existingClaim }}
  {{- else }}
  emptyDir: {sizeLimit: {{ .tier.modelCache.size }}}
  {{- end }}
- name: temporary
  emptyDir: {sizeLimit: 2Gi}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ .tier.sharedMemory }}}
{{- end }}

{{- define "thinking-server.mounts" -}}
- {name: models, mountPath: /models}
- {name: temporary, mountPath: /tmp}
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}

{{- /* Takes a dictionary: name, root, cache. */ -}}
{{- define "thinking-server.claim" -}}
{{- if and .cache.persistent (not .cache.existingClaim) }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}-models
  labels: {{- include "thinking-server.labels" .root | nindent 4 }}
spec:
  accessModes: [{{ .cache.accessMode }}]
  {{- with .cache.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .cache.size }}}
{{- end }}
{{- end }}

{{- /* What scales a tier up at once and down slowly: a new pod loads its model for minutes. */ -}}
{{- define "thinking-server.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{type: Percent, value: 100, periodSeconds: 60}]
scaleDown:
  stabilizationWindowSeconds: 600
  policies: [{type: Pods, value: 1, periodSeconds: 120}]
{{- end }}

{{- /* KEDA takes no quantities: 700m is 0.7. */ -}}
{{- define "thinking-server.threshold" -}}
{{- $target := toString . -}}
{{- ternary (divf (float64 (trimSuffix "m" $target)) 1000) $target (hasSuffix "m" $target) -}}
{{- end }}
