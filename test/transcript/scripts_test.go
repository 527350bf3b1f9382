//go:build interop

package transcript

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// script is a session. Each line is a command; in front of it may stand how many events it causes, as in `2! set /a x`. A
// command that begins with @ is an act of the test's own.
type script struct {
	name    string
	chroot  string
	differs string // why the servers do not answer the same, if so
	lines   string
	acts    map[string]func(*process, way)
	// forgets has lines after which zkCli.sh may print this error, or not, for a reason that stands beside it.
	forgets map[string]string
}

var counted = regexp.MustCompile(`^(\d+)! (.*)$`)

// play types a script. Some options may go before, and some flags of the JVM; events are those of the session's beginning.
func (s script) play(t *testing.T, w way, flags []string, events int, server string, options ...string) transcript {
	t.Helper()
	p := start(t, w.command(t, flags, server+s.chroot, options...))
	p.events = events
	p.await("the session begins") // or ends, as that of a wrong password does: the first line finds it one way or the other
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(s.lines, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		events := 0
		if m := counted.FindStringSubmatch(line); m != nil {
			events, _ = strconv.Atoi(m[1])
			line = m[2]
		}
		if act, ok := s.acts[line]; ok {
			act(p, w)
			p.events += events
			p.await(line)
			continue
		}
		lines = append(lines, line)
		if strings.HasPrefix(line, "quit") {
			break
		}
		p.say(line, events)
	}
	code := p.end("quit\n")
	alike := strings.NewReplacer(server, "SERVER")
	got := newTranscript(lines, alike.Replace(p.out.String()), alike.Replace(p.err.String()), code)
	if w.java {
		got.remember(s.forgets)
	}
	return got
}

// remember adds what was forgotten.
func (t transcript) remember(forgotten map[string]string) {
	for i, line := range t.lines {
		if text, ok := forgotten[line]; ok && i < len(t.errors) && t.errors[i] == "" {
			t.errors[i] = text
		}
	}
}

func TestScripts(t *testing.T) {
	p := servers(t, 1)
	for _, s := range scripts {
		t.Run(strings.ReplaceAll(s.name, " ", "-"), func(t *testing.T) {
			p.compare(t, s.differs, func(t *testing.T, w way) transcript { return s.play(t, w, nil, 1, p[w.server].Connection()) })
		})
	}
}

// In zkCli.sh another thread prints events; sync waits until that has dealt with all earlier ones, which matters before
// printwatches changes.
var scripts = []script{
	{name: "create and delete", lines: `
create
create /a
create /a
get /a
create /a/b "two words"
get /a/b
create /a/c ''
get /a/c
create /a/none/x
create a
create /a/
create /a//b
create /a/../b
create /a/.
create ""
create -e /a/e x
create /a/e/x
create -s /a/s-
create -s /a/s- y
create -s -e /a/se- z
create -se /a/
create -c /a/cont
create -t 100000 /a/ttl
create -t 100000 -s /a/ttls-
create -t100000 /a/ttl2
create -t=100000 /a/ttl3
create -c -s /a/x
create -c -e /a/x
create -t 5 -e /a/x
create -t 5 -c /a/x
create -t x /a/x
create -t -1 /a/x
create -t 0 /a/x
create -t 1099511627776 /a/x
create -t 1099511627775 /a/long
create -t /a/x
create -q /a/x
create -ee /a/ee
create -e -- /a/--
create -- -x
create /a/z data world:anyone:r
create /a/y data world:anyone:crwda,ip:127.0.0.1:r
getAcl /a/y
create /a/w data world:anyone
create /a/w data world:anyone:zq
create /a/v data digest:bob:hash=:cdrwa
getAcl /a/v
create /a/u data auth::r
create /a/t data nothing:x:r
create /a/r data , extra
create /a/r data "" extra
create /a/q data ",world:anyone:r"
getAcl /a/q
ls /a
ls -s /a
stat /a/cont
stat /a/ttl
stat /a/se-0000000005
delete
delete /a
delete /a/none
delete -v 5 /a/b
delete -v 0 /a/b
delete /a/c 0
delete /a/cont 7
delete -v
delete -x /a
delete /
delete a
deleteall
deleteall /none
deleteall a
deleteall -b x /a
deleteall -b 2 /a
ls /
create /b
create /b/c
create /b/c/d
create /b/e
deleteall /b -b 0
ls /
create /b
create /b/c
deleteall /b extra words
ls /
create "/with space" 'it is "it"'
get "/with space"
get '/with space'
create /open "open quote
get /open
create it's
create /uml-ü-中 ä
get /uml-ü-中
ls /
create 	/tab	x	
get /tab
create "/x
	x"
`},
	{name: "set and get", lines: `
create /a one
set
set /a
set /a two
get /a
set -s /a three
set -v 2 /a four
set -v 9 /a five
set -v -1 /a six
set -v /a six
set /a -v 4 seven
set -sv 5 /a eight
set /a nine -s
set /none x
set a x
set /a/ x
set -z /a x
get
get /none
get a
get /
get -s /a
get -q /a
get -sw /a
1! set /a ten
get /a watch
1! set /a eleven
get -s /a watch
get /a watch more
1! set /a twelve
set /a "-v"
get -w -s /a
1! delete /a
get -w /a
stat
stat -w /a
1! create /a again
stat /a
stat /a watch
1! set /a x
stat -w /a
stat -w /a
1! set /a x
stat -v /a
stat /a/
stat /none
ls
ls /
ls /none
ls a
ls -s /a
ls -w /a
1! create /a/b
ls -w /a
1! create /a/c
ls -R /a
ls -R /
ls -R /none
ls -R a
ls -Rs /a
ls -R -w /a
1! create /a/b/d
1! set /a y
ls /a watch
1! create /a/x
ls -s /a watch
ls -?
ls -? /a
ls -q /a
ls -w
create /a/x/m
create /a/x/k
create /a/B
create /a/x/k/1
ls -R /a
ls /a
getAllChildrenNumber
getAllChildrenNumber /
getAllChildrenNumber /a
getAllChildrenNumber /none
getAllChildrenNumber a
getAllChildrenNumber -s /a
getEphemerals
create -e /a/e1
getEphemerals
getEphemerals /a
getEphemerals /b
getEphemerals a
getEphemerals -x
sync
sync /
sync /none
sync a
sync -x /
`},
	{name: "acl", lines: `
create /a x
getAcl
getAcl /a
getAcl -s /a
getAcl /none
getAcl a
getAcl -R /a
setAcl
setAcl /a
setAcl /a world:anyone:r
setAcl -s /a world:anyone:cdrwa
setAcl -v 1 /a world:anyone:cdrwa
setAcl -v 1 /a world:anyone:cdrwa
setAcl -v x
setAcl /none world:anyone:r
setAcl a world:anyone:r
setAcl /a world
setAcl /a world:anyone
setAcl /a world:someone:r
setAcl /a world:anyone:rx
getAcl /a
setAcl /a world:anyone:cdrwa
getAcl /a
create /b x
create /b/c x
create /b/c/d x
setAcl -R /b world:anyone:cdra,ip:127.0.0.1:w
getAcl /b/c/d
setAcl -R /none world:anyone:r
setAcl -R /b world:nobody:r
setAcl -R -v 0 /b world:anyone:r
setAcl -sR /b world:anyone:cdrwa
whoami
whoami extra
addauth
addauth digest bob:secret
whoami
setAcl /a auth::cdrwa
getAcl /a
create /private x digest:other:hash:cdrwa
get /private
set /private y
ls /private
getAcl /private
create /private/x
setAcl /private world:anyone:r
delete /private
create /mine x auth:ignored:cdrwa
getAcl /mine
addauth digest second:pw
whoami
create /both x auth::cdrwa
getAcl /both
create /odd x digest:a,b:r
getAcl /odd
`},
	{name: "refused credentials", lines: `
create /a
1! addauth nothing x
ls /
whoami
history
quit
`},
	{name: "no credentials", lines: `
create /a
1! addauth digest
ls /
`},
	{name: "watches", lines: `
create /a x
addWatch
addWatch /a
1! set /a y
1! create /a/b
1! create /a/b/c
1! delete /a/b/c
1! delete /a/b
addWatch -m PERSISTENT /a
addWatch -m persistent_recursive /p
addWatch -m strange /a
addWatch -m /a
addWatch /a /b
addWatch -x /a
1! removewatches /a
removewatches
removewatches /a
removewatches a
removewatches /none
removewatches -z /a
get -w /a
1! removewatches /a -d
ls -w /a
1! removewatches -c /a
get -w /a
ls -w /a
removewatches -c /none
2! removewatches -a /a
get -w /a
removewatches -c /a
1! removewatches -d -l /a
stat -w /nothing
1! removewatches -d /nothing
stat -w /nothing
1! removewatches /nothing
addWatch -m PERSISTENT /a
1! set /a z
1! set /a z
1! create /a/n
create /a/n/m
1! set /a z
1! removewatches /a
set /a z
printwatches
printwatches off
get -w /a
set /a q
sync /
printwatches whatever
printwatches on
printwatches off extra
printwatches on
get -w /a
1! set /a q
`},
	{name: "watches of several modes", differs: "3.8 keeps one mode per session and znode, 3.9 several (ZOOKEEPER-4466)", lines: `
create /a
addWatch -m PERSISTENT /a
get -w /a
1! set /a z
set /a z
get /a
`},
	{name: "quota", lines: `
create /q x
create /q/a x
create /q/a/b x
listquota
listquota /q
listquota /none
listquota q
setquota
setquota /q
setquota -n /q
setquota -n 5
setquota -n 5 /q
listquota /q
setquota -b 100 /q
listquota /q
setquota -N 10 /q
setquota -B 1000 /q
listquota /q
setquota -n 5 -b 6 /q
setquota -n 5 -n 6 /q
setquota -n 0 /q
setquota -n -1 /q
setquota -n x /q
setquota -b -1 /q
setquota -b x /q
setquota -N 0 /q
setquota -B -2 /q
setquota -B 99999999999999999999 /q
setquota -n 1 /q
setquota -b 1 /q
setquota -n 5 /q/a
setquota -n 5 /q/a/b
setquota -n 5 /none
setquota -n 5 /
setquota -n 5 q
setquota -n 5 /q/
setquota -n 5 /zookeeper/quota
setquota -n 5 /zookeeper/quota/q
setquota -x 5 /q
ls -R /zookeeper/quota
get /zookeeper/quota/q/zookeeper_limits
get /zookeeper/quota/q/zookeeper_stats
delquota
delquota /none
delquota q
delquota -n /q
listquota /q
delquota -b /q
delquota -N -B /q
delquota -N /q
delquota -B /q
listquota /q
delquota -x /q
delquota /q
listquota /q
delquota /q
ls /zookeeper/quota
setquota -B 5000 /q/a/b
setquota -n 9 /q
setquota -n 9 /q/a
ls -R /zookeeper/quota
delquota /q/a/b
ls -R /zookeeper/quota
setquota -N 4 /q
create /q/one
create /q/two
create /q/three
setquota -B 10 /q
set /q 0123456789
set /q 0
get /q
`},
	{name: "shell", lines: `
history
redo
redo 0
redo 100
redo -1
redo 0x0
create /a x
redo 18
redo 3
redo 21
version
version extra
config
config -c
config extra
config -z
reconfig
reconfig -s
reconfig -v 1
reconfig -v zz -remove 1
reconfig -add server.1=127.0.0.1:1:2;3 -members server.1=127.0.0.1:1:2;3
reconfig -file /none -members server.1=127.0.0.1:1:2;3
reconfig -file /none
reconfig -remove 5
help
exit2
LS /
ls /
 ls /
   
ls / 
"ls" /
'ls' '/'
close
ls /
history
printwatches
help
close
sync /
1! connect
ls /
connect 127.0.0.1:1
quit
`},
	{name: "chroot", chroot: "/root", lines: `
ls /
create / x
create /a x
get /a
ls -R /
stat -w /a
1! set /a y
delete /
create -s /s- x
create -e /e x
getEphemerals
getEphemerals /root
getEphemerals /e
getAllChildrenNumber /
addWatch /
1! create /b
1! removewatches /
sync /
getAcl /
setAcl / world:anyone:cdrwa
config
listquota /a
setquota -n 5 /a
delquota /a
deleteall /
ls /
`},
	{name: "a number that is none", lines: `
create /a x
set -v abc /a x
ls /
`},
}
