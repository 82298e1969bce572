package cli

import "strings"

// helpWords ask for help.
var helpWords = map[string]bool{"-h": true, "-help": true, "--help": true, "help": true}

// usageOf are the lines about a command that has commands of its own, when help is asked for it and not for one of them;
// empty otherwise.
func usageOf(command string, rest []string) string {
	if len(rest) != 1 || !helpWords[rest[0]] {
		return ""
	}
	var found strings.Builder
	about := false
	for line := range strings.Lines(usage) {
		if !strings.HasPrefix(line, "   ") { // else it goes on about the line before
			about = strings.HasPrefix(line, "  "+command+" ") && !strings.HasPrefix(line, "  "+command+"  ")
		}
		if about {
			found.WriteString(line)
		}
	}
	if found.Len() == 0 {
		return ""
	}
	return "usage: concord " + command + " COMMAND [FLAGS]\n" + found.String() + "concord " + command + " COMMAND -h lists the flags of a command.\n"
}
