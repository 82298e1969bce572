package filing

import (
	"strings"
	"unicode"
)

// Deceptive finds a character in a name that people do not see, or that has them see another name than the one that
// computers use: one that turns the direction of writing ("annex<RLO>fdp.exe" reads "annexexe.pdf"), takes no space, or
// controls a terminal.
func Deceptive(name string) (r rune, found bool) {
	i := strings.IndexFunc(name, deceptive)
	if i < 0 {
		return 0, false
	}
	for _, r = range name[i:] {
		break
	}
	return r, true
}

// Honest is a name without such characters, for names that come from where nobody can be asked to mend them.
func Honest(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if deceptive(r) {
			return -1
		}
		return r
	}, name))
}

func deceptive(r rune) bool {
	switch {
	case unicode.IsControl(r):
		return true
	case r >= 0x200B && r <= 0x200F, // no width, and marks of direction
		r >= 0x2028 && r <= 0x202E, // ends of lines and paragraphs; embeddings and overrides of direction
		r >= 0x2060 && r <= 0x206F, // joiners, isolates of direction, and what Unicode took back
		r == 0x061C, r == 0xFEFF:
		return true
	}
	return false
}
