package server

import (
	"fmt"

	"github.com/zkctl/zkctl/server/node"
	"github.com/zkctl/zkctl/server/vfs"
)

// openMembers makes sure that memberships can be saved, where they may change.
func (s *Server) openMembers(disk vfs.FS) (err error) {
	if !s.cfg.Distributed || !s.cfg.ReconfigEnabled {
		return nil
	}
	if s.disk.members, err = s.cfg.Files(disk); err != nil {
		return err
	}
	return s.disk.members.Begin()
}

// membersChanged moves the ports and connections of this server to where a membership has them.
func (s *Server) membersChanged(e node.MembersChanged) {
	if version := e.Members.Version(); version != s.membersVersion {
		s.membersVersion = version
		s.log.Info("membership", "version", fmt.Sprintf("%x", version), "members", e.Members.Lines())
	}
	s.peers.MembersChanged(e)
	if self, ok := e.Members.Member(s.cfg.ServerID); ok && self.ClientPort != 0 && s.clients != nil {
		s.clients.Move(self.ClientAddress())
	}
}
