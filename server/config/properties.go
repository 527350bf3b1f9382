package config

import "github.com/zkctl/zkctl/server/properties"

// property is one key of a properties file and the line on which it begins.
type property struct {
	key, value string
	line       int
	// source and shown are set where the property was not given in a file: where it was, and what was written there. line
	// then counts the words.
	source, shown string
}

// malformed is a line that is not a property; key and value are as they stand there.
type malformed struct {
	property
	err error
}

// readProperties returns all occurrences of keys in a file, in order.
func readProperties(text []byte) ([]property, []malformed) {
	list, bad := properties.ReadFile(text)
	good := make([]property, len(list))
	for i, p := range list {
		good[i] = property{key: p.Key, value: p.Value, line: p.Line}
	}
	errs := make([]malformed, len(bad))
	for i, m := range bad {
		errs[i] = malformed{property{key: m.Key, value: m.Value, line: m.Line}, m.Err}
	}
	return good, errs
}
