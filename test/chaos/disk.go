package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is a small ext4 file system on a loop device of its own, for one member.
type Disk struct {
	image, at, number string
	mounted           bool
}

// diskBytes is its size. A member of these runs needs a tenth.
const diskBytes = 512 << 20

// throttleFile limits writes per second and device, of what runs in the root control group
// (Documentation/admin-guide/cgroup-v1/blkio-controller.rst).
const throttleFile = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device"

// NewDisk makes a file system with its image in the directory images, and mounts it at a directory, which it makes.
func NewDisk(images, at string) (*Disk, error) {
	d := &Disk{image: filepath.Join(images, strings.ReplaceAll(at, "/", "_")+".ext4"), at: at}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(diskBytes)
	f.Close()
	if err != nil {
		return nil, err
	}
	if err := run("mkfs.ext4", "-q", "-m", "0", d.image); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	return d, d.mount()
}

// mount gives the image a loop device, which goes when the file system is unmounted.
func (d *Disk) mount() error {
	device, err := output("losetup", "--find", "--show", d.image)
	if err != nil {
		return err
	}
	device = strings.TrimSpace(device)
	number, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "dev"))
	if err == nil {
		d.number = strings.TrimSpace(string(number))
		err = unix.Mount(device, d.at, "ext4", 0, "")
	}
	if e := run("losetup", "-d", device); err == nil { // when it is not in use any more
		err = e
	}
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", device, d.at, err)
	}
	d.mounted = true
	return d.Sync() // fails if it is still the file system that had its power cut, held by another mount namespace
}

func (d *Disk) unmount() error {
	if !d.mounted {
		return nil
	}
	if err := unix.Unmount(d.at, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", d.at, err)
	}
	d.mounted = false
	return nil
}

// Close removes it all. Nothing may use the file system any more.
func (d *Disk) Close() error {
	return errors.Join(d.unmount(), os.Remove(d.image))
}

// Sync writes out what is in memory.
func (d *Disk) Sync() error {
	f, err := os.Open(d.at)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// Fill leaves no room.
func (d *Disk) Fill() error {
	f, err := os.Create(filepath.Join(d.at, "filler"))
	if err != nil {
		return err
	}
	defer f.Close()
	for size, at := int64(64<<20), int64(0); size >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, size); err == nil {
			at += size
		} else if err == unix.ENOSPC {
			size /= 2
		} else {
			return fmt.Errorf("fill %s: %w", d.at, err)
		}
	}
	return nil
}

// Free undoes Fill, for good: without the sync a power cut would bring the file back.
func (d *Disk) Free() error {
	if err := os.Remove(filepath.Join(d.at, "filler")); err != nil {
		return err
	}
	return d.Sync()
}

// Throttle limits the writes per second, 0 for no limit.
func (d *Disk) Throttle(writes int) error {
	return os.WriteFile(throttleFile, fmt.Appendf(nil, "%s %d\n", d.number, writes), 0o644)
}

// The ioctls of linux/fs.h and of fs/ext4/ext4.h.
const (
	ioctlFreeze   = 0xc0045877
	ioctlThaw     = 0xc0045878
	ioctlShutdown = 0x8004587d
	noLogFlush    = 2 // what is only in memory of the journal is lost as well
)

// Freeze makes every write and fsync wait until Thaw.
func (d *Disk) Freeze() error { return d.ioctl(ioctlFreeze, 0) }

// Thaw undoes Freeze.
func (d *Disk) Thaw() error { return d.ioctl(ioctlThaw, 0) }

// CutPower makes the file system lose what was not synced; it takes nothing any more until Repower.
func (d *Disk) CutPower() error { return d.ioctl(ioctlShutdown, noLogFlush) }

// Repower mounts it anew. The member must have ended.
func (d *Disk) Repower() error {
	if err := d.unmount(); err != nil {
		return err
	}
	return d.mount()
}

func (d *Disk) ioctl(number uintptr, value uint32) error {
	f, err := os.Open(d.at)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(unsafe.Pointer(&value))); errno != 0 {
		return fmt.Errorf("ioctl %#x of %s: %w", number, d.at, errno)
	}
	return nil
}
