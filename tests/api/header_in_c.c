/* The headers are C11 and need nothing before them. */
#include <graft/compiler.h>
#include <graft/graft.h>

graft_error* graft_header_in_c(const graft_session* session);
graft_error* graft_compiler_in_c(const graft_env* env, const char* path, const char* package);

graft_error* graft_header_in_c(const graft_session* session) {
  float pixels[4] = {0};
  const int64_t shape[2] = {2, 2};
  graft_input in = {sizeof in, "x", GRAFT_DTYPE_FLOAT32, 2, shape, pixels, sizeof pixels, NULL, 0};
  graft_output out = {0};
  out.struct_size = sizeof out;
  return graft_session_run(session, &in, 1, &out, 1, NULL);
}

graft_error* graft_compiler_in_c(const graft_env* env, const char* path, const char* package) {
  graft_open_options how = {0};
  graft_model* model = NULL;
  graft_partitioning* partitioning = NULL;
  graft_compilation* compilation = NULL;
  graft_error* error;
  how.struct_size = sizeof how;
  how.path = path;
  error = graft_model_open(env, &how, &model);
  if (error == NULL) error = graft_partitioning_create(model, NULL, &partitioning);
  if (error == NULL) error = graft_compile(partitioning, package, NULL, &compilation);
  graft_compilation_free(compilation);
  graft_partitioning_free(partitioning);
  graft_model_free(model);
  return error;
}
