find_java() {
{{- if .Host.Server.JavaHome }}
  [ -x {{ .Host.Server.JavaHome }}/bin/java ] && echo {{ .Host.Server.JavaHome }}/bin/java
{{- else }}
  java_home=${JAVA_HOME:-$( ({{ .Environment }} echo "$JAVA_HOME") 2>/dev/null | tail -n 1)}
  for java in "${java_home:-/nowhere}/bin/java" "$(command -v java 2>/dev/null)" /usr/lib/jvm/default*/bin/java \
    /usr/lib/jvm/*/bin/java /usr/lib/jvm/*/jre/bin/java /usr/java/*/bin/java; do
    if [ -f "$java" ] && [ -x "$java" ]; then echo "$java"; return; fi
  done
  return 1
{{- end }}
}
