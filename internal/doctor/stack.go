package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TemplateVersion is the version of template.yaml that this code belongs to, which the stack's output
// TemplateVersion repeats. Raise both when the code needs something that earlier templates lack.
const TemplateVersion = 1

// The areas of the checks of a stack.
const (
	areaStack     = "Stack"
	areaFunctions = "Functions"
	areaEvents    = "Events"
	areaTables    = "Tables"
	areaBucket    = "Evidence bucket"
	areaKeys      = "Keys"
	areaSecret    = "Credential"
	areaLogs      = "Logs and alarms"
	areaWork      = "Work"
)

// Stack returns the checks of a deployed stack.
func Stack(p StackPorts) []Check {
	w := p.Want
	var all []Check
	for _, part := range [][]Check{
		stackChecks(p, w), functionChecks(p, w), eventChecks(p, w), tableChecks(p, w), bucketChecks(p, w),
		keyChecks(p, w), credentialChecks(p, w), logChecks(p, w), workChecks(p, w),
	} {
		all = append(all, part...)
	}
	return all
}

func stackChecks(p StackPorts, w StackWanted) []Check {
	return []Check{
		{
			Name: "stack.status", Area: areaStack,
			Looks: "whether the last deployment is complete, and whether CloudFormation found drift",
			Run:   seeing(p.Stack, "", w.judgeStatus),
		},
		{
			Name: "stack.template", Area: areaStack,
			Looks: "whether the stack's template belongs to this version of packhorse",
			Run:   seeing(p.Stack, "", w.judgeTemplate),
		},
	}
}

func (w StackWanted) judgeStatus(s StackState) Finding {
	reason := ""
	if s.Reason != "" {
		reason = " (" + s.Reason + ")"
	}
	events := paste("read why", "aws cloudformation describe-stack-events --stack-name %s --max-items 20", shell(w.Name))
	switch {
	case s.Status == "UPDATE_ROLLBACK_FAILED":
		return Fail(paste("mend what the reason names, then continue",
			"aws cloudformation continue-update-rollback --stack-name %s", shell(w.Name)), "%s%s", s.Status, reason)
	case strings.HasSuffix(s.Status, "_FAILED"), s.Status == "ROLLBACK_COMPLETE", strings.HasPrefix(s.Status, "DELETE_"):
		return Fail(events, "%s%s", s.Status, reason)
	case strings.HasSuffix(s.Status, "ROLLBACK_COMPLETE"):
		return Warn(events, "%s: the last deployment failed, and the one before it is in place%s", s.Status, reason)
	case strings.HasSuffix(s.Status, "_IN_PROGRESS"):
		return Warn("wait until it is done, then look again", "%s", s.Status)
	case s.Drifted:
		return Warn(paste("see what differs", "aws cloudformation describe-stack-resource-drifts --stack-name %s"+
			" --stack-resource-drift-status-filters MODIFIED DELETED", shell(w.Name)),
			"%s, but its resources differ from the template", s.Status)
	default:
		return Good("%s", s.Status)
	}
}

func (w StackWanted) judgeTemplate(s StackState) Finding {
	deploy := paste("deploy this version", "make deploy STACK=%s", shell(w.Name))
	version, err := strconv.Atoi(s.TemplateVersion)
	switch {
	case s.TemplateVersion == "":
		return Warn(deploy, "the template is older than version 1")
	case err != nil:
		return Warn(deploy, "the output TemplateVersion is not a number: %s", s.TemplateVersion)
	case version < TemplateVersion:
		return Warn(deploy, "the template has version %d, this packhorse belongs to version %d", version, TemplateVersion)
	case version > TemplateVersion:
		return Warn("use a newer packhorse", "the template has version %d, this packhorse belongs to version %d",
			version, TemplateVersion)
	default:
		return Good("version %d", version)
	}
}

// restore is the advice for a resource that somebody deleted: CloudFormation creates it again.
func (w StackWanted) restore() string {
	return paste("have CloudFormation create it again", "aws cloudformation create-change-set --stack-name %[1]s"+
		" --change-set-name restore --deployment-mode REVERT_DRIFT --use-previous-template"+
		" --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameters $(aws cloudformation describe-stacks"+
		" --stack-name %[1]s --query \"Stacks[0].Parameters[].join('',['ParameterKey=',ParameterKey,"+
		"',UsePreviousValue=true'])\" --output text)"+
		" && aws cloudformation wait change-set-create-complete --stack-name %[1]s --change-set-name restore"+
		" && aws cloudformation execute-change-set --stack-name %[1]s --change-set-name restore", shell(w.Name))
}

// shell quotes a word for a POSIX shell, if need be.
func shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@=,+", r)
	}
	if word != "" && strings.Trim(word, "\x00") == word && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// age writes how long ago something was.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}
