// Package remote runs commands on hosts and puts files there.
//
// A Host is reached by SSH or is this machine; both keep the same promises:
//
//  1. A command is a script for /bin/sh. The login shell, its start-up files,
//     the message of the day and the locale have no influence on what runs or
//     on what is returned.
//  2. The error tells whether the script ran. An *ExitError or *SignalError
//     says something about the host; a *ConnError or *BecomeError says that
//     the script never ran to a known end.
//  3. A cancelled or timed-out command is killed on the host, not only here.
//  4. A file appears whole, verified, with its mode and owner, and on disk, or
//     not at all.
//  5. Passwords and passphrases are read by callback, travel on standard input
//     only, and appear in no command line, no error and no log.
//
// Everything a Host does is a Run or an Upload, so that a recording Host
// (Fake) can stand in for it and a counting one (Counter) can prove that a
// second run changes nothing.
//
// Non-goals: interactive sessions, port forwarding, Windows hosts.
package remote
