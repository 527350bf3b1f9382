package config

import (
	"path/filepath"
	"strings"
)

// Audit is whether and where changes by clients are logged.
type Audit struct {
	// AuditEnabled switches the audit log on. AuditFile is where it is appended to, "" for the server's log.
	AuditEnabled bool
	AuditFile    string
	// AuditFailuresOnly leaves out what succeeded.
	AuditFailuresOnly bool
}

var auditKeys = []key{
	{"audit.enable", strictBool(func(c *Config) *bool { return &c.AuditEnabled })},
	{"audit.impl.class", setAuditLogger},
	{"auditlog.file", text(func(c *Config) *string { return &c.AuditFile })},
	{"auditlog.threshold", setAuditThreshold},
	{"log.dir", text(func(c *Config) *string { return &c.given.logDir })},
}

const auditPackage = "org.apache.zookeeper.audit."

func setAuditLogger(_ *Config, value string) (string, string) {
	if value != auditPackage+"Slf4jAuditLogger" && value != auditPackage+"Log4jAuditLogger" {
		return "this server cannot load classes, and has none of this name", "give " + auditPackage + "Slf4jAuditLogger or remove the key"
	}
	return "", ""
}

// setAuditThreshold takes a level of Log4j or Logback: successes are logged with INFO, failures with ERROR.
func setAuditThreshold(c *Config, value string) (string, string) {
	switch strings.ToUpper(value) {
	case "ALL", "TRACE", "DEBUG", "INFO":
		c.AuditFailuresOnly = false
	case "WARN", "ERROR":
		c.AuditFailuresOnly = true
	default:
		return "not a level of the audit log", "give INFO, or ERROR for failures alone"
	}
	return "", ""
}

// checkAudit puts the file of the audit log where Apache ZooKeeper's logback.xml has it.
func (p *parser) checkAudit() {
	c := p.config
	file, dir := p.seen["auditlog.file"], p.seen["log.dir"]
	relative := c.AuditFile != "" && !filepath.IsAbs(c.AuditFile)
	if relative && c.given.logDir != "" {
		c.AuditFile = filepath.Join(c.given.logDir, c.AuditFile)
	} else if dir.line > 0 {
		p.notice(dir, "has no effect: this server writes its log to standard error", "")
	}
	switch {
	case file.line > 0 && !c.AuditEnabled:
		p.notice(file, "has no effect without audit.enable", "")
	case relative && c.given.logDir == "":
		p.notice(file, "relative to the directory in which the server is started", "give an absolute path, or log.dir")
	}
}
