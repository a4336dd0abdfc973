package blast

// Kinds are the words for what a cluster is made of: one of each.
type Kinds struct {
	Hosts HostWords
	Edge  EdgeWords
	Proxy ProxyWords
	Names NameWords
	// OtherEdges are those of the kinds of edge that the cluster is not made of, and may have been.
	OtherEdges []EdgeWords
}

// HostWords speak of one kind of hosts: what nodes run on, their data volumes and addresses, and who may reach
// them. They keep nothing between two calls.
type HostWords interface {
	// NodeOf is the index of the node that a resource of these hosts belongs to, -1 for none.
	NodeOf(c *Change) int
	// IsNode tells whether a resource stands for a node: its creation is a node that comes, its deletion one
	// that goes.
	IsNode(c *Change) bool
	// Inventory names what comes or goes with one node, from the changes of that node: "a volume of 50 GB".
	Inventory(changes []*Change) []string
	// Opens is the client protocol that a rule of access is for, "" for any other change.
	Opens(c *Change) string
	// Cosmetic tells whether a property is a name or a label that nothing runs by.
	Cosmetic(path string) bool

	// VolumeLines tell of data that are lost, kept or changed, before anything else is told: a node that goes
	// claims the rest of what is its own.
	VolumeLines(a *Assessment)
	// HostLines tell of the hosts of nodes that stay, and of what these bring. What waits for hosts is told
	// here, too: that of nodes that come and go is known.
	HostLines(a *Assessment)
	// AccessLines tell who may reach what, but for rules that came or went with a protocol.
	AccessLines(a *Assessment)
}

// EdgeWords speak of one kind of edge: who stands in front of the nodes, with a listener for each protocol and
// backends on each node. They keep nothing between two calls.
type EdgeWords interface {
	// ClaimBackends takes the changes that are there only because these nodes come (op [Create]) or go
	// ([Delete]).
	ClaimBackends(a *Assessment, op string, nodes []int) []*Change
	// Inventory says what of the edge comes or goes with a node, "" for nothing: "2 backends (mqtt, ws)".
	Inventory(a *Assessment, op string, node int) string
	// Cosmetic tells whether a property is a name or a label that nothing runs by.
	Cosmetic(path string) bool

	// EdgeLines tell of everything else, and what waits for the edge.
	EdgeLines(a *Assessment)
	// ClaimLeft takes the deletions of an edge of this kind that one of another kind takes the place of, and says
	// what its clients see until they have gone over, "" for nothing.
	ClaimLeft(a *Assessment) (gone []*Change, until string)
}

// ProxyWords speak of one kind of proxy between the edge and EMQX. They keep nothing between two calls.
type ProxyWords interface {
	// Name is what sentences call it.
	Name() string
	// Area is that of its lines.
	Area() string
	// Secrets are those that it reads.
	Secrets(a *Assessment) []Secret

	// ProxyLines tell what becomes of it, and what waits for it.
	ProxyLines(a *Assessment)
}

// NameWords speak of one kind of public name. They keep nothing between two calls.
type NameWords interface {
	// ClaimFollowers takes the changes that only follow the edge to another address, and says for how long
	// resolvers keep the old one: "60 s".
	ClaimFollowers(a *Assessment) (followers []*Change, keep string)

	// NameLines tell what becomes of the name, and what waits for it.
	NameLines(a *Assessment)
}
