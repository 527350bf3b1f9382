package zkcli

import (
	"regexp"
	"sync"
)

// word matches a word of a line with the blanks around it: quoted, or anything that does not begin with a quote. It is the
// expression of zkCli.sh, and so are the oddities: a quote without its counterpart is skipped, and there are no escapes.
var word = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[ \t\n\v\f\r]*([^"'][^ \t\n\v\f\r]*|"[^"]*"|'[^']*')[ \t\n\v\f\r]*`)
})

// split cuts a line into words.
func split(line string) []string {
	var words []string
	for _, match := range word().FindAllStringSubmatch(line, -1) {
		w := match[1]
		if n := len(w); n > 1 && (w[0] == '"' || w[0] == '\'') {
			w = w[1 : n-1]
		}
		words = append(words, w)
	}
	return words
}
