package guest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const userDataURL = "http://" + MetadataAddress + "/opc/v2/instance/metadata/user_data"

// errNoUserData means that the instance was launched without any.
var errNoUserData = errors.New("none")

// RunUserData does what cloud-init does with a script: fetch it, keep it, run it
// once, log its output. The result stands in /run/cloud-init/result.json.
func RunUserData() error {
	script, err := fetchUserData()
	if errors.Is(err, errNoUserData) {
		log.Print("user data: none")
		return writeResult(nil)
	}
	if err == nil {
		err = runScript(script)
	}
	return errors.Join(err, writeResult(err))
}

// fetchUserData asks until metadata answers: the lab's daemon may be restarting.
func fetchUserData() ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second}
	for try := 0; ; try++ {
		script, err := askUserData(&client)
		if err == nil || errors.Is(err, errNoUserData) {
			return script, err
		}
		if try%60 == 0 {
			log.Printf("user data: %v; asking again every 500 ms", err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func askUserData(client *http.Client) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, userDataURL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer Oracle")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, errNoUserData
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metadata answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return decodeUserData(body)
}

// decodeUserData undoes base64 and, as cloud-init does, gzip.
func decodeUserData(body []byte) ([]byte, error) {
	script, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(body)))
	if err != nil {
		return nil, fmt.Errorf("decoding user data: %w", err)
	}
	if bytes.HasPrefix(script, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(script))
		if err != nil {
			return nil, fmt.Errorf("decompressing user data: %w", err)
		}
		if script, err = io.ReadAll(z); err != nil {
			return nil, fmt.Errorf("decompressing user data: %w", err)
		}
	}
	return script, nil
}

func runScript(script []byte) error {
	if !bytes.HasPrefix(script, []byte("#!")) {
		return errors.New("it does not begin with #!; the lab runs scripts only")
	}
	path := "/var/lib/cloud/instance/scripts/part-001"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, script, 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(LogDir, "cloud-init-output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer out.Close()
	began := time.Now()
	log.Print("user data: running")
	cmd := exec.Command(path) //nolint:noctx // a boot takes as long as it takes
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	err = cmd.Run()
	log.Printf("user data: ran for %s", time.Since(began).Round(10*time.Millisecond))
	if err != nil {
		return fmt.Errorf("the script failed: %w; see %s/cloud-init-output.log", err, LogDir)
	}
	return nil
}

func writeResult(failed error) error {
	faults := []string{}
	if failed != nil {
		faults = append(faults, failed.Error())
	}
	raw, err := json.Marshal(map[string]any{"v1": map[string]any{"datasource": "DataSourceOracle", "errors": faults}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll("/run/cloud-init", 0o755); err != nil {
		return err
	}
	return os.WriteFile("/run/cloud-init/result.json", raw, 0o644)
}
