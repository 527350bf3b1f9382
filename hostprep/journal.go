package hostprep

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/shell"
)

// The journal of a host is a directory, readable by root only, with what files and settings were before they were changed
// for the first time. Its file `index` names the entries in the order in which they came: a word, the entry's key, and
// the rest of the line.
//
//	file   KEY MODE UID GID MTIME HOW PATH   KEY.bytes is the content; HOW is inplace or rename
//	absent KEY PATH                          there was nothing
//	dir    KEY MODE UID GID PATH
//	script KEY SUMMARY                       KEY.sh takes the change back
//
// KEY.left is the checksum of a file as the last change left it, where other people's programs write it, too; or "edited", where
// one of them has done so between two changes.
//
// An entry stands in the index only after what it names is on disk, and a key is recorded once: what counts is the state
// before the first change.
//
// The index is on disk when `settle` returns, which is called before the first change of a script, for all of them: the disk is
// waited for twice, however many there are.
const journalScript = `
entries= index= kept= torn=
if [ -n "$journal" ] && [ -s "$journal/index" ]; then
	entries=$(cat "$journal/index"; echo .)
	case $entries in
	*"$nl.") ;;
	# A line without its end was cut off, by a full disk or a power cut, before the change that it was about: it counts for nothing.
	*"$nl"*) entries=${entries%"$nl"*}$nl torn=yes ;;
	*) entries= torn=yes ;;
	esac
fi
known() { case $entries in *" $1 "*) ;; *) return 1 ;; esac; }
enter() { entries="$entries$1 " index="$index$1$nl"; }
settle() {
	set --
	for k in $kept; do set -- "$@" "$journal/$k"; done
	[ $# = 0 ] || flush "$@"
	[ -n "$index" ] || return 0
	IFS=$nl; set -f; set -- $index; set +f; unset IFS
	[ -z "$torn" ] || echo >>"$journal/index" || exit 1
	# Each line by itself, since two scripts may do this at once.
	for line; do printf '%s\n' "$line" || exit 1; done >>"$journal/index" || exit 1
	flush "$journal/index"
	index= kept= torn=
}
open_journal() { [ -d "$journal" ] || (umask 077; mkdir -p -- "$journal"); }
# linked PATH: it or a directory above it is a symbolic link.
linked() {
	q=$1
	while [ -n "$q" ]; do [ ! -L "$q" ] || return 0; q=${q%/*}; done
	return 1
}

# save PATH inplace|rename: what it is now. Its key is the checksum of PATH, which key_of knows of most.
save() {
	open_journal || exit 1
	if linked "$1"; then set -- "$(readlink -f -- "$1" 2>/dev/null || printf %s "$1")" "$2"; fi
	key_of "$1"
	set -- "$1" "$2" "${key:-$(printf %s "$1" | hash)}"
	! known "$3" || return 0
	if [ -d "$1" ]; then enter "dir $3 $(stat -c '%a %u %g' -- "$1") $1"
	elif [ -e "$1" ]; then
		(umask 077; exec cat <"$1" >"$journal/$3.bytes") || fail "cannot keep a copy of $1 in $journal"
		kept="$kept $3.bytes"
		enter "file $3 $(stat -c '%a %u %g %Y' -- "$1") $2 $1"
	else
		case $1 in
		/*/*) if [ ! -e "${1%/*}" ]; then
			save "${1%/*}" rename
		fi ;;
		esac
		enter "absent $3 $1"
	fi
}

# remember KEY SUMMARY SCRIPT: how to take a change back.
remember() {
	open_journal || exit 1
	! known "$1" || return 0
	(umask 077; printf %s "$3" >"$journal/$1.sh") || exit 1
	kept="$kept $1.sh"
	enter "script $1 $2"
}
`

// sharedScript is for files that other people's programs write, too: share is save, and left notes what a change has made of
// them. Once somebody else has written one, that is what counts.
const sharedScript = `
fresh=
share() {
	key_of "$1"
	if ! known "$key"; then fresh="$fresh $key "
	elif [ -f "$journal/$key.left" ] && [ -f "$1" ]; then
		h=$(hash <"$1")
		[ "$h" = "$(cat <"$journal/$key.left")" ] || # or what it was first: then it was undone
			{ [ -f "$journal/$key.bytes" ] && [ "$h" = "$(hash <"$journal/$key.bytes")" ]; } || echo edited >"$journal/$key.left"
	fi
	save "$1" rename
}
left() {
	for p; do
		key_of "$p"
		case $fresh in
		*" $key "*) ;;
		*) case $(cat <"$journal/$key.left") in edited | '') continue ;; esac ;;
		esac 2>/dev/null
		[ ! -f "$p" ] || hash <"$p" >"$journal/$key.left"
	done
}
`

// Undo says how the change of a RunScript is taken back.
type Undo struct {
	Script string
	Args   []string
}

// saves is the script that enters what a change replaces into the journal.
func (c Change) saves() string {
	var b strings.Builder
	if c.Kind == WriteFile {
		how := "rename"
		if c.InPlace {
			how = "inplace"
		}
		fmt.Fprintf(&b, "save %s\n", shell.Join(c.Target, how))
	}
	for _, p := range c.Saves {
		if c.Shared {
			fmt.Fprintf(&b, "share %s\n", shell.Quote(p))
		} else {
			fmt.Fprintf(&b, "save %s\n", shell.Join(p, "rename"))
		}
	}
	if c.Undo != nil {
		script := fmt.Sprintf("set -- %s\n%s\n", shell.Join(c.Undo.Args...), c.Undo.Script)
		fmt.Fprintf(&b, "remember %s\n", shell.Join(hexSum([]byte(c.Target+"\x00"+c.Summary)), "take back: "+c.Summary, script))
	}
	return b.String()
}

// savesOf is the script that enters what several changes replace, and ends when that is on disk.
func savesOf(changes []Change) string {
	var b strings.Builder
	keys := map[string]string{}
	for i, c := range changes {
		if script := c.saves(); script != "" {
			fmt.Fprintf(&b, "at=%d\n%s", i, script)
		}
		for _, p := range append(slices.Clone(c.Saves), c.Target) {
			for ; len(p) > 1 && path.IsAbs(p); p = path.Dir(p) {
				keys[p] = hexSum([]byte(p))
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	var known strings.Builder
	known.WriteString("key_of() {\n\tcase $1 in\n")
	for _, p := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&known, "\t%s) key=%s ;;\n", shell.Quote(p), keys[p])
	}
	return known.String() + "\t*) key= ;;\n\tesac\n}\n" + b.String() + "settle\n"
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// JournalFragment is the script that reports a journal and what its files are now, by the functions of
// remote.FieldsScript; for Wanted.Extra, as root. After it, report_journal NAME DIR does the same for others.
func JournalFragment(dir string) string {
	return `
report_journal() {
	[ -f "$2/index" ] || return 0
	file "$1.index" "$2/index"
	stat -c "$1.entered	=%Y %n" -- "$2"/*.bytes "$2"/*.sh 2>/dev/null
	while read -r kind key rest; do
		case $kind in
		script) file "$1.kept.$key" "$2/$key.sh" ;;
		file)
			file "$1.kept.$key" "$2/$key.bytes"
			file "$1.left.$key" "$2/$key.left"
			p=${rest#* * * * * }
			file "$1.now.$key" "$p" ;;
		absent) [ -e "$rest" ] && field "$1.there.$key" yes
			file "$1.left.$key" "$2/$key.left"
			file "$1.now.$key" "$rest" ;;
		dir) [ -d "${rest#* * * }" ] && field "$1.there.$key" yes ;;
		esac
	done <"$2/index"
}
report_journal ` + JournalName + " " + shell.Quote(dir) + "\n"
}

// JournalName is the name under which JournalFragment reports a journal.
const JournalName = "journal"

// JournalEntry is one entry of a journal, with what became of it.
type JournalEntry struct {
	Key  string
	Kind string // file, absent, dir or script
	Path string // of a script: its summary
	// Mode, UID, GID and MTime are those of a file or directory.
	Mode     fs.FileMode
	UID, GID string
	MTime    int64
	InPlace  bool
	// Entered is when the entry came, in seconds since 1970, as far as the files in the journal tell.
	Entered int64
	// Kept is the original content of a file, or the script.
	Kept []byte
	// Now is the present content of a file, nil if there is none; There says that a path exists.
	Now   []byte
	There bool
	// Left is the checksum of the file as our changes left it, or "edited"; "" where that is not known.
	Left string
}

// edited reports whether others have changed a file since we did, as far as that is known.
func (e JournalEntry) edited() bool {
	return e.Now != nil && e.Left != "" && e.Left != hexSum(e.Now)
}

// tornLine are lines that were cut off before their paths.
var tornLine = regexp.MustCompile(`^(f|fi|fil|file|a|ab|abs|abse|absen|absent|d|di|dir|s|sc|scr|scri|scrip|script|(file|absent|dir|script) [0-9a-f]*( [0-9 a-z]*)?)$`)

// ParseJournal reads what JournalFragment reported under a name, in the order in which it was entered.
func ParseJournal(name string, fields remote.Fields) ([]JournalEntry, error) {
	entered := map[string]int64{}
	number := func(s string, base int) int64 { n, _ := strconv.ParseInt(s, base, 64); return n }
	for _, line := range fields.Texts(name + ".entered") {
		when, file, _ := strings.Cut(line, " ")
		key, _, _ := strings.Cut(path.Base(file), ".")
		entered[key] = number(when, 10)
	}
	var entries []JournalEntry
	var latest int64
	for line := range strings.Lines(string(fields.Bytes(name + ".index"))) {
		line, whole := strings.CutSuffix(line, "\n")
		if line == "" || !whole {
			continue // see journalScript
		}
		kind, rest, _ := strings.Cut(line, " ")
		key, rest, _ := strings.Cut(rest, " ")
		e := JournalEntry{Key: key, Kind: kind, Path: rest, Kept: fields.Bytes(name + ".kept." + key), Now: fields.Bytes(name + ".now." + key),
			There: fields.Has(name + ".there." + key), Left: strings.TrimSpace(string(fields.Bytes(name + ".left." + key)))}
		latest = max(latest, entered[key])
		e.Entered = latest
		words := strings.SplitN(rest, " ", 6)
		switch {
		case kind == "file" && len(words) == 6:
			e.Mode, e.UID, e.GID, e.MTime = fs.FileMode(number(words[0], 8)), words[1], words[2], number(words[3], 10)
			e.InPlace, e.Path, e.There = words[4] == "inplace", words[5], e.Now != nil
			if e.Kept == nil {
				return nil, fmt.Errorf("the undo journal lacks the original of %s", e.Path)
			}
		case kind == "dir" && len(words) >= 4:
			words = strings.SplitN(rest, " ", 4)
			e.Mode, e.UID, e.GID, e.Path = fs.FileMode(number(words[0], 8)), words[1], words[2], words[3]
		case kind == "absent":
		case kind == "script" && e.Kept != nil:
		default:
			if !tornLine.MatchString(line) {
				return nil, fmt.Errorf("the undo journal has a line that cannot be read: %q", line)
			}
			continue
		}
		if kind != "script" && hexSum([]byte(e.Path)) != key {
			continue // the end of the path was cut off
		}
		if slices.ContainsFunc(entries, func(o JournalEntry) bool { return o.Key == key }) {
			continue // only the end of the line was
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// JoinJournals is the journal of what two changed on a host, in the order in which they did. Of what both changed, the earlier
// one knows what it was, unless the other found nothing there. What came in the same second counts as first's earlier.
func JoinJournals(first, second []JournalEntry) []JournalEntry {
	all := slices.Concat(first, second)
	slices.SortStableFunc(all, func(a, b JournalEntry) int { return cmp.Compare(a.Entered, b.Entered) })
	var joined []JournalEntry
	for _, e := range all {
		i := slices.IndexFunc(joined, func(o JournalEntry) bool { return o.Key == e.Key })
		if i < 0 {
			joined = append(joined, e)
			continue
		}
		o := joined[i]
		if e.Kind == "absent" {
			joined[i] = e
		}
		switch {
		case o.Left == "" || e.Left == "":
			joined[i].Left = ""
		case o.Left == hexSum(e.Kept):
			joined[i].Left = e.Left
		default: // somebody else was there in between
			joined[i].Left = "edited"
		}
	}
	return joined
}

// Restored decides what a file that others may have edited since becomes: from its original and its present content.
// edited says that more than our own changes were found.
type Restored func(original, now []byte) (content []byte, edited bool)

// PlanUndo plans to make a host what it was before the first change in the journal, newest entry first. restored knows
// files, by path, of which only our part is taken out; all others become what they were.
func PlanUndo(host string, journal []JournalEntry, restored map[string]Restored) ([]Change, []Finding) {
	var changes []Change
	var findings []Finding
	for _, e := range slices.Backward(journal) {
		if e.edited() {
			findings = append(findings, Finding{Host: host, Check: "undo", Severity: Warning,
				Text: fmt.Sprintf("%s was edited since zkctl changed it: what zkctl put there is taken out, the rest stays as it is", e.Path)})
			continue
		}
		switch e.Kind {
		case "script":
			changes = append(changes, Change{Kind: RunScript, Target: e.Path, Summary: e.Path, Script: string(e.Kept), Root: true})
		case "dir":
			if e.There {
				changes = append(changes, Change{
					Kind: RunScript, Target: e.Path, Summary: fmt.Sprintf("give %s its mode %04o back", e.Path, e.Mode), Root: true,
					Args: []string{e.Path, fmt.Sprintf("%o", e.Mode), e.UID + ":" + e.GID}, Script: `chown "$3" "$1" && chmod "$2" "$1"`,
				})
			}
		case "absent":
			if !e.There {
				continue
			}
			if merge := restored[e.Path]; merge != nil && e.Now != nil {
				if content, edited := merge(nil, e.Now); edited {
					findings = append(findings, Finding{Host: host, Check: "undo", Severity: Warning,
						Text: fmt.Sprintf("%s was made by zkctl and edited since: only what zkctl wrote is taken out", e.Path)})
					changes = append(changes, Change{Kind: WriteFile, Target: e.Path, Summary: "take the ensemble's lines out of " + e.Path,
						Before: e.Now, After: content, Root: true, InPlace: true})
					continue
				}
			}
			changes = append(changes, Change{
				Kind: RunScript, Target: e.Path, Summary: "remove " + e.Path, Root: true, Args: []string{e.Path},
				// A directory that others have put something in stays.
				Script: `if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir "$1" 2>/dev/null || :; else rm -f -- "$1"; fi`,
			})
		case "file":
			content := e.Kept
			if merge := restored[e.Path]; merge != nil && e.Now != nil {
				var edited bool
				if content, edited = merge(e.Kept, e.Now); edited {
					findings = append(findings, Finding{Host: host, Check: "undo", Severity: Warning,
						Text: fmt.Sprintf("%s was edited since zkctl changed it first: only what zkctl wrote is taken out", e.Path)})
				}
			}
			if e.Now == nil {
				dir := path.Dir(e.Path)
				changes = append(changes, Change{Kind: RunScript, Target: dir, Summary: "see that " + dir + " is there", Root: true,
					Args: []string{dir}, Script: `[ -d "$1" ] || mkdir -p -- "$1"`})
			}
			if e.Now == nil || !bytes.Equal(content, e.Now) {
				changes = append(changes, Change{Kind: WriteFile, Target: e.Path, Summary: "give " + e.Path + " back",
					Before: e.Now, After: content, Mode: e.Mode, Owner: e.UID, Group: e.GID, InPlace: e.InPlace, Root: true})
			}
			c := Change{Kind: RunScript, Target: e.Path, Summary: "give " + e.Path + " its owner and mode back", Root: true,
				Args:   []string{e.Path, fmt.Sprintf("%o", e.Mode), e.UID + ":" + e.GID, ""},
				Script: `chown "$3" "$1" && chmod "$2" "$1" && { [ -z "$4" ] || touch -d "@$4" -- "$1" 2>/dev/null || :; }`}
			if bytes.Equal(content, e.Kept) {
				c.Args[3] = fmt.Sprint(e.MTime)
			}
			changes = append(changes, c)
		}
	}
	return changes, findings
}
