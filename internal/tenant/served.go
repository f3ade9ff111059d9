package tenant

// Served is a tenant that a run serves, as people are told of it.
type Served struct {
	ID   string
	Name string // empty for the one that needs no entry in the registry

	Failing bool // its work fails
	Person  bool // and goes on failing until a person does something about it
}
