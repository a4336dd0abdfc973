package orchestrate

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C away from the engine: cli.stop passes it on.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// descendants lists the processes below pid. Plugins have groups of their own, so a kill of pid's group misses them.
func descendants(pid int) []int {
	children := map[int][]int{}
	for _, p := range processes() {
		if parent, _, ok := stat(p); ok {
			children[parent] = append(children[parent], p)
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// stageProcesses lists the processes whose environment carries the marker of a run in this stage.
func stageProcesses(id string) []int {
	want := []byte(runMarker + "=" + id)
	var found []int
	for _, p := range processes() {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p))
		if err != nil {
			continue
		}
		for _, v := range bytes.Split(env, []byte{0}) {
			if bytes.Equal(v, want) {
				found = append(found, p)
			}
		}
	}
	return found
}

func parent(pid int) int {
	p, _, _ := stat(pid)
	return p
}

// sameProgram says whether a process runs the same executable as this one.
func sameProgram(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/exe")
	return err == nil && ours == theirs
}

// startedAt names one life of a pid: the boot it belongs to and the tick it began at. A pid that was given away again
// has another one.
func startedAt(pid int) (string, bool) {
	_, ticks, ok := stat(pid)
	if !ok {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(boot)) + "/" + ticks, true
}

func processes() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	pids := make([]int, 0, len(dirs))
	for _, d := range dirs {
		if p, err := strconv.Atoi(filepath.Base(d)); err == nil {
			pids = append(pids, p)
		}
	}
	return pids
}

// stat reads the parent and the start time of a process that is not a zombie.
func stat(pid int) (parent int, started string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	// The command's name stands in parentheses and may hold anything, also parentheses.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return 0, "", false
	}
	parent, err = strconv.Atoi(f[1])
	return parent, f[19], err == nil
}
