package remote

import (
	"bytes"
	"testing"
)

// FuzzStream: however the output of a host is cut into pieces, the script's part of it is found, and no more than the
// limit is kept.
func FuzzStream(f *testing.F) {
	const marker, limit = "zkctl-0123", 256
	f.Add([]byte("motd\n"), []byte("hello\nworld"), uint8(7))
	f.Add([]byte("zkctl-0123 begin"), []byte("\nzkctl-0123 end"), uint8(1))
	f.Fuzz(func(t *testing.T, noise, body []byte, piece uint8) {
		if bytes.Contains(noise, []byte(marker)) || bytes.Contains(body, []byte(marker)) {
			return // the marker is random
		}
		all := bytes.Clone(noise)
		all = append(all, marker+" begin 77\n"...)
		all = append(all, body...)
		all = append(all, "\n"+marker+" end 3\nlogout\n"...)
		s := stream{marker: marker, limit: limit}
		n := int(piece) + 1
		for len(all) > 0 {
			cut := min(n, len(all))
			s.write(all[:cut])
			all = all[cut:]
		}
		switch out := s.output(); {
		case !s.begun || !s.ended || s.pid != 77 || s.code != 3:
			t.Fatalf("begun %v, ended %v, pid %d, code %d", s.begun, s.ended, s.pid, s.code)
		case len(body) <= limit && !bytes.Equal(out, body):
			t.Fatalf("%q became %q", body, out)
		case len(body) > limit && !bytes.HasSuffix(body, out), len(out) > limit:
			t.Fatalf("%d bytes became %q", len(body), out)
		case s.truncated() != (len(body) > len(out)):
			t.Fatalf("%d bytes became %d, truncated is %v", len(body), len(out), s.truncated())
		case len(s.noise) > noiseLimit:
			t.Fatalf("%d bytes of noise are kept", len(s.noise))
		}
	})
}
