package guest

// Paths that the machine and the guest agree on, as seen inside an instance.
const (
	// Binary is where the guest's own binary is mounted.
	Binary = "/usr/local/lib/oci-lab/lab-guest"
	// APIDir holds the socket of the oci command; the machine binds it.
	APIDir = "/run/oci-lab"
	// APISocket answers POST /cli.
	APISocket = APIDir + "/api.sock"
	// Systemd is PID 1: the machine's own.
	Systemd = "/usr/lib/systemd/systemd"
	// SystemdSocket is where systemctl reaches it; once it is there, PID 1 takes signals.
	SystemdSocket = "/run/systemd/private"
	// ImageDir holds the image archives that Docker loads.
	ImageDir = "/usr/local/lib/oci-lab/images"
	// LogDir of the journal, boot and console; the machine keeps it on the host's disk.
	LogDir = "/var/log"
	// MetadataAddress is OCI's link-local address for metadata and DNS.
	MetadataAddress = "169.254.169.254"
)

// Spec says how an instance's root is put together. The machine writes it, the
// launch command reads it. All Source paths are the host's.
type Spec struct {
	Hostname string
	// Scratch is an empty directory; a tmpfs for the overlay's upper layer goes
	// there, because overlayfs refuses an upper layer on the file system of its
	// lower one when that is the root.
	Scratch string
	// Cgroups are the directories, one per hierarchy, that the instance joins;
	// its cgroup namespace has them as root.
	Cgroups []Cgroup
	// Hide lists directories that show up empty: the host's own business.
	Hide []string
	// Binds are mounted in this order.
	Binds []Bind
	// Remove lists files of the host that the image has not.
	Remove []string
	// Dirs exist, whatever the host has.
	Dirs []string
	// Files are written into the upper layer, Links made there.
	Files []File
	Links []Link
}

// Cgroup is one mounted hierarchy of the host.
type Cgroup struct {
	Mount   string // host's mount point, kept inside: /sys/fs/cgroup/memory
	Path    string // directory to join, below Mount
	Type    string // "cgroup" or "cgroup2"
	Options string // mount options of version 1: "memory", "none,name=systemd"
}

// Bind is a bind mount of a file or directory.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// File is written with Mode (0644 when zero).
type File struct {
	Path, Content string
	Mode          uint32
}

// Link is a symbolic link; what stands at Path is replaced.
type Link struct{ Path, Target string }
