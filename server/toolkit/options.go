package toolkit

import "strings"

// refusal is an error of a command line. Its words are those of commons-cli.
func refusal(format string, args ...any) error { return exitWith(exitFailed, format, args...) }

// option is an option of a program, as org.apache.commons.cli has it.
type option struct {
	short    byte
	long     string
	hasValue bool
	required bool
}

// parsed is a command line: the values of the options by their short names, "" for those without one, and the rest.
type parsed struct {
	values map[byte]string
	args   []string
}

func (p parsed) has(short byte) bool {
	_, ok := p.values[short]
	return ok
}

// parseOptions takes -x, -xy, -x value, -xvalue, -x=value, --long, --long value, --long=value and -long, and options also
// behind arguments. Its errors are those of commons-cli.
func parseOptions(options []option, words []string) (parsed, error) {
	p := parsed{values: make(map[byte]string)}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			p.args = append(p.args, words...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			p.args = append(p.args, word)
			continue
		}
		rest, err := p.take(options, word, words)
		if err != nil {
			return p, err
		}
		words = rest
	}
	var missing []string
	for _, o := range options {
		if o.required && !p.has(o.short) {
			missing = append(missing, string(o.short))
		}
	}
	if len(missing) > 0 {
		what := "option"
		if len(missing) > 1 {
			what = "options"
		}
		return p, refusal("Missing required %s: %s", what, strings.Join(missing, ", "))
	}
	return p, nil
}

// take takes one word with options, and of the following ones a value.
func (p parsed) take(options []option, word string, words []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if o, ok := findLong(options, name); ok && (strings.HasPrefix(word, "--") || len(name) > 1) {
		return p.set(o, value, given, words)
	}
	if strings.HasPrefix(word, "--") {
		return nil, refusal("Unrecognized option: %s", word)
	}
	for cluster := word[1:]; cluster != ""; {
		o, ok := findShort(options, cluster[0])
		if !ok {
			return nil, refusal("Unrecognized option: %s", word)
		}
		cluster = cluster[1:]
		if o.hasValue {
			return p.set(o, strings.TrimPrefix(cluster, "="), cluster != "", words)
		}
		p.values[o.short] = ""
	}
	return words, nil
}

func (p parsed) set(o option, value string, given bool, words []string) ([]string, error) {
	switch {
	case !o.hasValue && given:
		return nil, refusal("Unrecognized option: --%s=%s", o.long, value)
	case !o.hasValue:
	case given:
	case len(words) == 0 || len(words[0]) > 1 && words[0][0] == '-':
		return nil, refusal("Missing argument for option: %c", o.short)
	default:
		value, words = words[0], words[1:]
	}
	p.values[o.short] = value
	return words, nil
}

func findShort(options []option, short byte) (option, bool) {
	for _, o := range options {
		if o.short == short {
			return o, true
		}
	}
	return option{}, false
}

// findLong finds an option by its name, or by a beginning of it that no other has.
func findLong(options []option, name string) (option, bool) {
	var found []option
	for _, o := range options {
		if o.long == name {
			return o, true
		}
		if name != "" && strings.HasPrefix(o.long, name) {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		return option{}, false
	}
	return found[0], true
}
