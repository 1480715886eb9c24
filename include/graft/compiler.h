/* Graft's C interface, second part: what is in a model, what Core ML would take of it, packages, checks, measurements.
 *
 *   graft_model ──> graft_partitioning ──> packages: graft_compile, graft_partitioning_write
 *                                   ──> a session: graft_open_options.partitioning
 *
 * The rules of graft.h hold. A function that fills a struct by an index that does not exist, or for NULL, is
 * invalid_argument. How many there are is in the struct one level up. Pointers in a filled struct belong to the object
 * that was asked.
 */
#ifndef GRAFT_COMPILER_H_
#define GRAFT_COMPILER_H_

#include <graft/graft.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graft_compilation graft_compilation;
typedef struct graft_verification graft_verification;
typedef struct graft_diagnosis graft_diagnosis;

/* ---- models ----------------------------------------------------------------------------------------------------- */

typedef enum graft_format { GRAFT_FORMAT_ONNX = 0, GRAFT_FORMAT_MLPACKAGE = 1 } graft_format;

/* Reads an ONNX file or a Core ML package and looks into it, without making it ready to run. Answers for every ONNX
 * file that can be read, also with operators that Graft does not know. Options are a session's ("shapes", "weights",
 * "memory_limit", "target", ...); options->partitioning must be NULL. With "weights" = "mapped" files are not copied,
 * as graft_session_create says. The environment may be freed before the model; a model in memory is borrowed until this
 * and everything that is made of it is freed.
 * Errors: what keeps the file from being read, invalid_option, unknown_option, memory_limit,
 * time_limit, cancelled. */
GRAFT_API graft_error* graft_model_open(const graft_env* env, const graft_open_options* options, graft_model** out);
/* What was made of it may live longer. */
GRAFT_API void graft_model_free(graft_model* model);

typedef struct graft_model_info {
  size_t struct_size;
  graft_format format;
  int64_t version;      /* ONNX: the IR version; packages: the specification version */
  const char* producer; /* "pytorch 2.4"; may be empty */
  const char* target;   /* packages: what it needs, "iOS16"; else empty */
  int64_t bytes;        /* ONNX: of the weights; packages: of all files */
  size_t node_count;    /* ONNX: top-level nodes */
  size_t opset_count, metadata_count, function_count, missing_count;
} graft_model_info;
GRAFT_API graft_error* graft_model_get(const graft_model* model, graft_model_info* out);

/* ONNX: an operator set that it imports. */
typedef struct graft_opset_info {
  size_t struct_size;
  const char* domain; /* empty: ONNX's own */
  int32_t version;
} graft_opset_info;
GRAFT_API graft_error* graft_model_opset(const graft_model* model, size_t index, graft_opset_info* out);
GRAFT_API graft_error* graft_model_metadata(const graft_model* model, size_t index, graft_entry* out);

/* A function of a package, by the names that its callers know; an ONNX model has one, "main". */
typedef struct graft_function_info {
  size_t struct_size;
  const char* name;
  size_t input_count, output_count, operator_count;
  double flops;       /* packages: of one run, at default sizes; ONNX: see graft_partitioning_info */
  size_t state_count; /* packages: of what it keeps between runs, see graft_state */
} graft_function_info;
GRAFT_API graft_error* graft_model_function(const graft_model* model, size_t index, graft_function_info* out);
GRAFT_API graft_error* graft_model_input(const graft_model* model, size_t function, size_t index, graft_port_info* out);
GRAFT_API graft_error* graft_model_output(const graft_model* model, size_t function, size_t index,
                                          graft_port_info* out);
GRAFT_API graft_error* graft_model_state(const graft_model* model, size_t function, size_t index, graft_port_info* out);

/* How often a function uses an operator, bodies included; the most frequent ones come first. */
typedef struct graft_operator_info {
  size_t struct_size;
  const char* domain; /* empty: ONNX's own, or MIL's */
  const char* op;
  int32_t count;
} graft_operator_info;
GRAFT_API graft_error* graft_model_operator(const graft_model* model, size_t function, size_t index,
                                            graft_operator_info* out);

/* ONNX: an operator that Graft does not know, with all nodes that use it. */
typedef struct graft_missing_info {
  size_t struct_size;
  const char* domain;
  const char* op;
  const char* message;
  const char* const* nodes;
  size_t node_count;
} graft_missing_info;
GRAFT_API graft_error* graft_model_missing(const graft_model* model, size_t index, graft_missing_info* out);

/* Why nothing can be made of an ONNX model that could be read (it contradicts itself, say); NULL: nothing is known. */
GRAFT_API const graft_error* graft_model_problem(const graft_model* model);
/* A package's program as MIL text in which large constants are elided; NULL for ONNX models. */
GRAFT_API const char* graft_model_mil(const graft_model* model);

/* ---- partitions ------------------------------------------------------------------------------------------------- */

typedef struct graft_partitioning_options {
  size_t struct_size;
  const char* const* names;
  const char* const* values;
  size_t count;               /* options beside the model's, e.g. "target"; later ones win */
  const char* dump_after;     /* keep the programs after this pass, or after "all" of them; NULL: none */
  const graft_cancel* cancel; /* NULL: cannot be cancelled */
} graft_partitioning_options;

/* Finds out which nodes of an ONNX model Core ML can take, in how few partitions, and compiles these in memory. Depends
 * on model, options and Graft's version, never on the machine. options: NULL for none beside the model's. Errors:
 * graft_model_problem, invalid_argument (a package), invalid_option (no such pass; an option that decides how a model
 * is read: shapes, weights, memory_limit), memory_limit, time_limit, cancelled. */
GRAFT_API graft_error* graft_partitioning_create(const graft_model* model, const graft_partitioning_options* options,
                                                 graft_partitioning** out);
/* What was made of it may live longer. */
GRAFT_API void graft_partitioning_free(graft_partitioning* partitioning);

typedef struct graft_partitioning_info {
  size_t struct_size;
  const char* target;    /* the oldest that is enough, or the one asked for: "iOS15"; empty without a partition */
  const char* precision; /* "float16", "float32" */
  int32_t whole;         /* 1: one partition is the whole graph */
  size_t node_count;     /* top-level nodes: */
  int32_t claimed, folded, host;
  double flops, flops_claimed; /* at default sizes */
  size_t partition_count, finding_count;
} graft_partitioning_info;
GRAFT_API graft_error* graft_partitioning_get(const graft_partitioning* partitioning, graft_partitioning_info* out);

/* As of sessions, but that reason_text has no remedies: nothing is looked for. */
GRAFT_API graft_error* graft_partitioning_node(const graft_partitioning* partitioning, size_t index,
                                               graft_node_info* out);
/* Why that node stays on the host, with what was tried and would change it; NULL where it does not. The first question
 * looks for remedies of all nodes, which may take longer than partitioning did. */
GRAFT_API const graft_error* graft_partitioning_refusal(const graft_partitioning* partitioning, size_t node);
/* What is worth knowing about the model as a whole. NULL: no such index. */
GRAFT_API const graft_error* graft_partitioning_finding(const graft_partitioning* partitioning, size_t index);

typedef struct graft_partition_info {
  size_t struct_size;
  int32_t nodes;     /* of the model; graft_node_info says which */
  int32_t operators; /* of the Core ML program */
  double flops;
  const char* target; /* what its package needs */
  size_t input_count, output_count, dump_count;
} graft_partition_info;
GRAFT_API graft_error* graft_partitioning_partition(const graft_partitioning* partitioning, size_t index,
                                                    graft_partition_info* out);
/* A partition's boundary, by ONNX names and types. */
GRAFT_API graft_error* graft_partitioning_input(const graft_partitioning* partitioning, size_t partition, size_t index,
                                                graft_port_info* out);
GRAFT_API graft_error* graft_partitioning_output(const graft_partitioning* partitioning, size_t partition, size_t index,
                                                 graft_port_info* out);
/* A partition's program as MIL text in which large constants are elided. NULL: no such partition. */
GRAFT_API const char* graft_partitioning_mil(const graft_partitioning* partitioning, size_t partition);
/* The same after a pass, as dump_after asked for. */
typedef struct graft_dump_info {
  size_t struct_size;
  const char* pass;
  const char* text;
} graft_dump_info;
GRAFT_API graft_error* graft_partitioning_dump(const graft_partitioning* partitioning, size_t partition, size_t index,
                                               graft_dump_info* out);

/* ---- packages --------------------------------------------------------------------------------------------------- */

/* Writes one partition as a package. The package appears whole, on the disk and in one step, or not at all; what is at
 * `path` is replaced only when it is a package and nothing else.
 * Errors: invalid_argument, would_overwrite, io_error (also where the model was written to since it was opened). */
GRAFT_API graft_error* graft_partitioning_write(const graft_partitioning* partitioning, size_t partition,
                                                const char* path);

/* The text of report.json, once the packages are written and before they are seen: `compilation` can be asked as long
 * as the call lasts. The text must name the schema "graft.compile/1", by which Graft knows its own folders, and live
 * until the function that called returns. NULL: a short report of Graft's own. */
typedef const char* (*graft_report_fn)(void* user, const graft_compilation* compilation);

typedef struct graft_compile_options {
  size_t struct_size;
  int32_t allow_partial; /* 1: `output` is a folder, with a package for each partition and report.json */
  int32_t overwrite; /* 1: a package may take the place of such a folder, or the other way round, or an empty one's */
  graft_report_fn report;
  void* report_user;
} graft_compile_options;

/* Writes the whole graph as one package, or nothing. Same model, same options, same bytes. As graft_partitioning_write;
 * with allow_partial a folder that such a call wrote is what may be replaced. options: NULL for none.
 * Errors: those of graft_partitioning_write, and not_delegated with every reason behind it. */
GRAFT_API graft_error* graft_compile(const graft_partitioning* partitioning, const char* output,
                                     const graft_compile_options* options, graft_compilation** out);
GRAFT_API void graft_compilation_free(graft_compilation* compilation);
/* What graft_compile would say about what lies at `output`, before any work is done. */
GRAFT_API graft_error* graft_compile_check(const char* output, const graft_compile_options* options);

typedef struct graft_package_info {
  size_t struct_size;
  const char* path;   /* as given; inside the folder for partial compiles */
  const char* target; /* "iOS15" */
  int64_t bytes;
  size_t partition; /* of the partitioning */
} graft_package_info;
GRAFT_API size_t graft_compilation_package_count(const graft_compilation* compilation); /* 0 for NULL */
GRAFT_API graft_error* graft_compilation_package(const graft_compilation* compilation, size_t index,
                                                 graft_package_info* out);

/* A file of two parts, one after the other; either may be empty. */
typedef struct graft_file {
  size_t struct_size;
  const char* name; /* without a folder */
  const void* head;
  size_t head_bytes;
  const void* data;
  size_t bytes;
} graft_file;
/* Writes results into a folder, which is made where there is none: all files or none of them, each in the place of the
 * file that has its name. Errors: invalid_argument, io_error, would_overwrite (something else has the name). */
GRAFT_API graft_error* graft_write_files(const char* folder, const graft_file* files, size_t count);

/* ---- checks and measurements ------------------------------------------------------------------------------------ */

typedef struct graft_verify_options {
  size_t struct_size;
  int32_t layers;    /* 1: the values inside are compared, too */
  int32_t own_limit; /* 1: min_snr_db decides instead of the stated tolerance */
  double min_snr_db;
} graft_verify_options;

/* Does the compiled program compute what the model does? Runs the partition from packages that are written to disk and
 * read back, with the rest of the model on the host where it is not whole, and compares every output with those of
 * `reference`, a session of the same model with the device "cpu", which runs the ONNX graph in its own types; NULL: one
 * is made. Every input must be given; see graft_session_random_inputs. A result that is not accurate is a success of
 * this function. options: NULL for none. Errors: not_delegated with every reason where there is no partition,
 * invalid_argument (inputs; a reference of another model), what opening and running brings. */
GRAFT_API graft_error* graft_verify(const graft_partitioning* partitioning, const graft_session* reference,
                                    const graft_input* inputs, size_t count, const graft_verify_options* options,
                                    graft_verification** out);
GRAFT_API void graft_verification_free(graft_verification* verification);

typedef struct graft_verification_info {
  size_t struct_size;
  int32_t accurate;
  int32_t from_package; /* 1: the whole graph is one package */
  int32_t by_range;     /* 1: floats are judged by `relative`, the largest error as a share of the output's range ... */
  double relative;
  double snr_db, classifier_snr_db; /* ... 0: by these signal to noise ratios */
  size_t output_count, layer_count;
  int64_t first_bad, worst; /* layers: the first outside the tolerance, the lowest SNR; -1: none */
} graft_verification_info;
GRAFT_API graft_error* graft_verification_get(const graft_verification* verification, graft_verification_info* out);

/* How far a result is from the reference. Without same_type nothing after it is set. */
typedef struct graft_difference {
  size_t struct_size;
  const char* name;
  const char* type; /* outputs: "fp32[1, 10]" */
  const char* op;   /* layers: what makes it in the Core ML program */
  int32_t ok;
  int32_t same_type; /* element type and shape agree */
  int32_t equal;
  double max_abs, max_rel;
  double range;  /* of the reference's finite elements */
  double snr_db; /* INFINITY: no difference among finite elements */
  double cosine;
  int64_t nan_count, inf_count, expected_nan_count, expected_inf_count;
  int64_t rows, top1_equal; /* classifiers: how many rows there are, and how many agree in the first place */
  double top5_share;        /* the mean share of common places among the first five */
} graft_difference;
GRAFT_API graft_error* graft_verification_output(const graft_verification* verification, size_t index,
                                                 graft_difference* out);
/* In the order of execution. */
GRAFT_API graft_error* graft_verification_layer(const graft_verification* verification, size_t index,
                                                graft_difference* out);

typedef struct graft_bench_options {
  size_t struct_size;
  int32_t runs;   /* that are measured, 1 to 1,000,000 */
  int32_t warmup; /* runs before those and after the first, 0 to 1,000,000 */
} graft_bench_options;

typedef struct graft_bench_result {
  size_t struct_size;
  double first_ms;
  double min_ms, median_ms, p90_ms, p99_ms;
  int64_t peak_rss_bytes; /* of the process so far */
  int32_t threads;
  const char* cpu; /* static: "AMD EPYC 9B14 (avx512f)" */
} graft_bench_result;
/* Runs a session again and again. Errors: invalid_option (counts), invalid_argument, what running brings. */
GRAFT_API graft_error* graft_bench(const graft_session* session, const graft_input* inputs, size_t count,
                                   const graft_bench_options* options, graft_bench_result* out);

/* ---- what Graft knows, as rows ------------------------------------------------------------------------------------
 */

/* All text is static. */
typedef struct graft_onnx_op_info {
  size_t struct_size;
  const char* domain; /* empty: ONNX's own */
  const char* name;
  const char* signature; /* "X, W, B? -> Y; auto_pad, ..." */
  const char* note;      /* what is not handled */
  const int32_t* versions;
  size_t version_count; /* the opsets in which the definition changed */
} graft_onnx_op_info;
GRAFT_API size_t graft_onnx_op_count(void);
GRAFT_API graft_error* graft_onnx_op(size_t index, graft_onnx_op_info* out);

typedef struct graft_mil_op_info {
  size_t struct_size;
  const char* name;
  const char* family;
  const char* doc;
  int32_t host_only;      /* no Core ML target takes it */
  const char* host_types; /* that the engine takes beyond Core ML */
  size_t variant_count;
} graft_mil_op_info;
GRAFT_API size_t graft_mil_op_count(void); /* sorted by family and name */
GRAFT_API graft_error* graft_mil_op(size_t index, graft_mil_op_info* out);

/* The signature from a target on. */
typedef struct graft_mil_variant_info {
  size_t struct_size;
  const char* since; /* "iOS15", "host" */
  const char* inputs;
  const char* types;
} graft_mil_variant_info;
GRAFT_API graft_error* graft_mil_variant(size_t op, size_t index, graft_mil_variant_info* out);

typedef struct graft_code_info {
  size_t struct_size;
  graft_code code;
  const char* name;
  graft_fault fault;
  const char* doc;
} graft_code_info;
GRAFT_API size_t graft_code_count(void);
GRAFT_API graft_error* graft_code_row(size_t index, graft_code_info* out);

/* The passes over the program of a partition, in order. */
typedef struct graft_pass_info {
  size_t struct_size;
  const char* name;
  const char* why;
} graft_pass_info;
GRAFT_API size_t graft_pass_count(void);
GRAFT_API graft_error* graft_pass(size_t index, graft_pass_info* out);

/* ---- hard inputs ------------------------------------------------------------------------------------------------ */

/* A kind of made-up inputs. The first, "ordinary", is what graft_session_random_inputs makes. */
typedef struct graft_draw_info {
  size_t struct_size;
  const char* name;
  const char* doc;
  int32_t typical; /* 1: values that any model of such inputs has to bear (masks, ids); 0: magnitudes of floats that are
                      for its user to judge */
} graft_draw_info;
GRAFT_API size_t graft_draw_count(void);
GRAFT_API graft_error* graft_draw(size_t index, graft_draw_info* out);
/* As graft_session_random_inputs, by a draw. *applies receives 0 where the session has no input, beside those that are
 * given, of which the draw makes anything else than the ordinary one does. */
GRAFT_API graft_error* graft_session_draw_inputs(const graft_session* session, const graft_input* given, size_t count,
                                                 uint64_t seed, size_t draw, graft_tensor** tensors, int32_t* applies);

/* ---- precision -------------------------------------------------------------------------------------------------- */

typedef struct graft_doctor_options {
  size_t struct_size;
  int32_t own_limit; /* 1: min_snr_db decides what is accurate instead of the stated tolerance */
  double min_snr_db;
  int32_t attempts; /* programs that are made and run at most, 1 to 1,000,000; 0: 64 */
} graft_doctor_options;

/* Where does fp16 lose the digits, and what is the least that has to stay in fp32? Compares the compiled program with
 * the host layer by layer, ranks the nodes by the noise that they add, and looks for a small set of them that makes
 * every output accurate: each attempt is partitioned, compiled, read back and run. Otherwise as graft_verify.
 * Errors: invalid_option too (a partitioning in float32), time_limit. */
GRAFT_API graft_error* graft_diagnose(const graft_partitioning* partitioning, const graft_session* reference,
                                      const graft_input* inputs, size_t count, const graft_doctor_options* options,
                                      graft_diagnosis** out);
GRAFT_API void graft_diagnosis_free(graft_diagnosis* diagnosis);

typedef struct graft_diagnosis_info {
  size_t struct_size;
  int32_t accurate_before, accurate; /* as it is, and with the option "keep_fp32" as it is proposed */
  const char* keep_fp32;             /* the option's value; empty: nothing has to stay */
  const char* reason;                /* why it is not accurate after all; empty where it is */
  int32_t attempts;
  size_t output_count, suspect_count;
} graft_diagnosis_info;
GRAFT_API graft_error* graft_diagnosis_get(const graft_diagnosis* diagnosis, graft_diagnosis_info* out);
/* The outputs of the program as it is, and of the one that is proposed (the best, where none is accurate). */
GRAFT_API graft_error* graft_diagnosis_before(const graft_diagnosis* diagnosis, size_t index, graft_difference* out);
GRAFT_API graft_error* graft_diagnosis_output(const graft_diagnosis* diagnosis, size_t index, graft_difference* out);

/* A node of the Core ML program, the one that adds most noise first. */
typedef struct graft_suspect_info {
  size_t struct_size;
  const char* node;
  const char* op;
  const char* tensor;     /* its result that is furthest off; empty: it is part of another's operator */
  const char* loss;       /* "overflow", "vanishing", "cancellation", "rounding" */
  double snr_db;          /* of the result; INFINITY: no difference, -INFINITY: NaN or infinities */
  double operands_snr_db; /* of the worst of its operands */
  int32_t kept;           /* 1: it has to stay in fp32 */
} graft_suspect_info;
GRAFT_API graft_error* graft_diagnosis_suspect(const graft_diagnosis* diagnosis, size_t index, graft_suspect_info* out);

#ifdef __cplusplus
}
#endif

#endif /* GRAFT_COMPILER_H_ */
