// Package hocon reads the text of an environment variable as EMQX does: what is
// valid HOCON is a value, and everything else is taken as it stands.
//
// It follows hocon_tconf:parse_env of hocon 0.44.0, the one in EMQX 5.8.9, and its
// scanner and grammar where they differ from Lightbend's specification. testdata
// holds what that version itself made of some hundred texts. It knows no setting of
// EMQX.
package hocon
