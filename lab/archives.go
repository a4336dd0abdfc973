package lab

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/lab/images"
)

// give takes the wanted images out of the archives and puts them where the lab looks
// for images first. Taken are those that the lab has already: its instances know
// another of that name. All is checked before anything is written.
func (o Options) give(taken []string) error {
	if len(o.Archives) == 0 {
		return nil
	}
	dir := filepath.Join(o.Dir, "images")
	wanted := slices.Concat(o.BrokerImages, o.ProxyImages)
	from := map[string]*images.Archive{}
	file := map[string]string{}
	for _, path := range o.Archives {
		a, err := images.OpenArchive(path)
		if err != nil {
			return err
		}
		useful := false
		for _, ref := range wanted {
			switch {
			case !a.Holds(ref):
				continue
			case from[ref] != nil && file[ref] != path:
				return fmt.Errorf("image %s is in two archives: %s and %s", ref, file[ref], path)
			case slices.Contains(taken, ref) && a.Given(ref, dir):
				useful = true // as it was before
				continue
			case slices.Contains(taken, ref):
				return fmt.Errorf("image %s: the running lab has one of that name already: `emqx-oci lab down` first", ref)
			}
			from[ref], file[ref], useful = a, path, true
		}
		if !useful {
			return fmt.Errorf("the image archive %s holds %s, and nothing of what the lab's stack asks for: %s (broker.image, proxy.image)",
				path, strings.Join(a.Names(), ", "), strings.Join(wanted, ", "))
		}
	}
	for _, ref := range wanted {
		if from[ref] == nil {
			continue
		}
		if err := from[ref].Give(ref, dir); err != nil {
			return err
		}
		delete(from, ref) // once, however often it is wanted
	}
	return nil
}
