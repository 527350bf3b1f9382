package main

import (
	"net"
	"time"
)

// notifier tells the service manager how far the server is (sd_notify(3)). Its zero value tells nobody.
type notifier struct{ socket string }

// newNotifier takes the value of NOTIFY_SOCKET: a path, @name for the abstract namespace of Linux, or nothing.
func newNotifier(socket string) notifier { return notifier{socket} }

// send sends one datagram.
func (n notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, err = conn.Write([]byte(state))
	return err
}
