// Package hint completes the commands that messages tell a user to type: a command that was given a state folder or a server
// names others that reach the same. Messages write such commands between backquotes, from wherever they come. It runs nothing.
package hint

import (
	"regexp"
	"strings"
)

// Settings are what the user gave; what is empty was not given.
type Settings struct {
	State   string // --state of every program
	Configs string // --configs of trmsweep

	Address, Namespace, Profile string // flags of tctl; the environment of the others
}

// named finds commands of the project between backquotes.
var named = regexp.MustCompile("`(?:bin/)?(?:trmsweep|tctl|make) [^`]*`")

// Complete completes every command in a text.
func (s Settings) Complete(text string) string {
	if s == (Settings{}) {
		return text
	}
	return named.ReplaceAllStringFunc(text, func(quoted string) string { return "`" + s.Command(strings.Trim(quoted, "`")) + "`" })
}

// Command completes one command line. It adds nothing that is there.
func (s Settings) Command(line string) string {
	program, _, _ := strings.Cut(strings.TrimPrefix(line, "bin/"), " ")
	flag := func(name, value string) {
		if value != "" && !strings.Contains(line, name) {
			line += name + Word(value)
		}
	}
	switch program {
	case "tctl":
		flag(" --address ", s.Address)
		flag(" --namespace ", s.Namespace)
		flag(" --profile ", s.Profile)
		flag(" --state ", s.State)
	case "trmsweep":
		flag(" --state ", s.State)
		flag(" --configs ", s.Configs)
		line = variable("TEMPORAL_PROFILE", s.Profile) + line
		line = variable("TEMPORAL_NAMESPACE", s.Namespace) + line
		line = variable("TEMPORAL_ADDRESS", s.Address) + line
	case "make":
		flag(" STATE=", s.State)
	}
	return line
}

// variable is an assignment before a command.
func variable(name, value string) string {
	if value == "" {
		return ""
	}
	return name + "=" + Word(value) + " "
}

// Word quotes what a shell would take apart.
func Word(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(plain, r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,"
