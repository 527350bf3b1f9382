//go:build diff

package diff

// superDigest is that of super:super.
const superDigest = "super:gG7s8t3oDEtIqF6DM9LlI/R+9Ss="

// common are the paths that most requests are about: few, so that requests meet.
var common = []string{
	"/", "/a", "/b", "/a/b", "/a/c", "/a/b/c", "/a/b/d", "/b/x", "/b/x/y", "/é", "/é/日本", "/a b",
	"/a/b/c/e", "/a/b/c/e/f", "/a/b/c/e/f/g", "/a/b/c/e/f/g/h",
}

// closed are paths of the part of the tree where reading may be forbidden.
var closed = []string{"/r", "/r/a", "/r/b", "/r/a/b", "/r1"}

// system are the paths that every server has, and those of quotas.
var system = []string{
	"/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/quota/a", "/zookeeper/x",
	"/zookeeper/quota/a/zookeeper_limits",
}

// odd are paths that few or no requests may have.
var odd = []string{
	"", null, "a", "a/b", "//", "/a/", "/a//b", "/a/.", "/a/..", "/./a", "/../a", "/.a", "/a.", "/...", "/a/.../b", "/ ",
	"/\x00", "/a\x00b", "a\x00", "/\x01", "/\x1f", "/\x20", "/\x7e", "/\x7f", "/\u0080", "/\u009f", "/\u00a0",
	"/\ud7ff", "/\ue000", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/\ufffd", "/\uffff", "/\U0001f600",
	"/\xff", "/\xc3", "/\xc3\x28", "/a\xed\xa0\x80", "/\xed\xa0\xbd\xed\xb8\x80", "/\xc0\x80", "/\xf0\x9f", "/zookeeper/", "zookeeper", "/zookeeper/config/",
}
