package remote

import (
	"testing"

	"golang.org/x/crypto/ssh"
)

// deaf is a connection on which a request to open a channel was lost.
type deaf struct{ ssh.Conn }

func (deaf) OpenChannel(string, []byte) (ssh.Channel, <-chan *ssh.Request, error) { select {} }

// A session that is asked for while its connection ends is not waited for.
func TestNoSessionOnADeadConnection(t *testing.T) {
	conn := &connection{client: &ssh.Client{Conn: deaf{}}, dead: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := openSession(t.Context(), conn)
		ended <- err
	}()
	close(conn.dead)
	if err := <-ended; err == nil {
		t.Error("a session")
	}
}
