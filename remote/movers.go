package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	scp "github.com/bramvdbogaerde/go-scp"
	"github.com/pkg/sftp"
)

// sftpMover uses the sftp subsystem.
type sftpMover struct{ ssh *SSH }

func (sftpMover) what() string { return "sftp" }

func (m sftpMover) put(ctx context.Context, path string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout(len(content)))
	defer cancel()
	session, conn, done, err := m.ssh.session(ctx, "sftp", false)
	if err != nil {
		return err
	}
	defer done()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	lost := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if conn.isDead() || errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, io.ErrUnexpectedEOF) {
			return m.ssh.failure("write "+path, ErrLost, err, "run it again: what was done is found done")
		}
		return err
	}

	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		if conn.isDead() {
			return lost(err)
		}
		return fmt.Errorf("%w: %v", errNoMover, err)
	}
	client, err := sftp.NewClientPipe(stdout, stdin, sftp.UseConcurrentWrites(true))
	if err != nil {
		// A subsystem that is configured but cannot start ends at once.
		if conn.isDead() || ctx.Err() != nil {
			return lost(err)
		}
		return fmt.Errorf("%w: %v", errNoMover, err)
	}
	defer client.Close()

	f, err := client.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return lost(err)
	}
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.ReadFrom(bytes.NewReader(content))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		client.Remove(path)
		return lost(err)
	}
	return nil
}

// scpMover uses the remote program scp, for hosts without an sftp subsystem. It
// speaks through the login shell, so that a start-up file which prints breaks
// it, and it may wait for ever for a program that is not scp: its time is short
// (ConnectTimeout and what a slow line takes), since there is another way after it.
type scpMover struct{ ssh *SSH }

func (scpMover) what() string { return "scp" }

func (m scpMover) put(whole context.Context, path string, content []byte) error {
	ctx, cancel := context.WithTimeout(whole, m.ssh.cfg.ConnectTimeout+lineTime(len(content)))
	defer cancel()
	// The client opens its session itself; the slot is taken for it.
	if err := m.ssh.takeSlot(ctx); err != nil {
		return err
	}
	defer func() { m.ssh.slots <- struct{}{} }()
	conn, err := m.ssh.connect(ctx)
	if err != nil {
		return err
	}
	client, err := scp.NewClientBySSH(conn.client)
	if err != nil {
		return err
	}
	err = client.Copy(ctx, bytes.NewReader(content), path, "0600", int64(len(content)))
	switch {
	case err == nil:
		return nil
	case whole.Err() != nil:
		return context.Cause(whole)
	case conn.isDead():
		return m.ssh.failure("write "+path, ErrLost, conn.reason(), "run it again: what was done is found done")
	}
	return fmt.Errorf("%w: %v", errNoMover, err)
}
