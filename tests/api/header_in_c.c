/* The header is C11 and needs nothing before it. */
#include <graft/graft.h>

graft_error* graft_header_in_c(const graft_session* session);

graft_error* graft_header_in_c(const graft_session* session) {
  float pixels[4] = {0};
  const int64_t shape[2] = {2, 2};
  graft_input in = {sizeof in, "x", GRAFT_DTYPE_FLOAT32, 2, shape, pixels, sizeof pixels};
  graft_output out = {0};
  out.struct_size = sizeof out;
  return graft_session_run(session, &in, 1, &out, 1, NULL);
}
