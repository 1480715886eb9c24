/* Graft's C interface: the binary contract. Everything else (graft.hpp, the tool, Python) is built on it.
 *
 * Graft runs ONNX models on Apple's Core ML, and compiles, checks and runs the same Core ML programs on any machine.
 * This header opens and runs models; compiler.h, beside it, looks into them, partitions, compiles and checks them.
 *
 * Rules that hold for every function
 *   Errors     A function that can fail returns graft_error*: NULL is success; anything else is the caller's and is
 *              freed with graft_error_free. Results are only written on success, except where stated. A null pointer
 *              that is not allowed, a struct of a size this library does not know, a wrong name, element type or shape
 *              is GRAFT_CODE_INVALID_ARGUMENT, never a crash. No C++ exception leaves the library.
 *   Ownership  What a function puts behind a `graft_x**` is the caller's and is freed with graft_x_free, which takes
 *              NULL too. Pointers that a function returns directly belong to the object they
 *              were asked of and live as long as it does. What the caller hands in is borrowed until the call returns,
 *              unless the function says otherwise.
 *   Threads    An object may be used from several threads at once as long as all of them only read it: graft_env,
 *              graft_session and graft_cancel are always safe; what is made once and then asked (graft_tensor,
 * graft_error, graft_model, graft_partitioning, ...) is safe once it was made. Freeing an object that somebody else
 * still uses is the caller's mistake. fork()     A child process may go on using what its parent made, as long as no
 * other thread was inside a function of this library when fork was called (Python's multiprocessing forks like this).
 * Results are the same; worker threads are started anew by the first run that needs them. Structs    Every struct
 * starts with `struct_size`, which the caller sets to sizeof the struct it was compiled with. Structs only grow at the
 * end; a library given a smaller, older size leaves out what it does not cover. In an array of structs every element
 * has the same struct_size, which is also the step between them. Growth     Enumerations and functions are only ever
 * added to; numbers never change their meaning. Text       UTF-8, NUL-terminated. Files are named by UTF-8 paths.
 */
#ifndef GRAFT_GRAFT_H_
#define GRAFT_GRAFT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define GRAFT_API
#else
#define GRAFT_API __attribute__((visibility("default")))
#endif

typedef struct graft_env graft_env;
typedef struct graft_session graft_session;
typedef struct graft_tensor graft_tensor;
typedef struct graft_cancel graft_cancel;
typedef struct graft_state graft_state;
typedef struct graft_error graft_error;
typedef struct graft_model graft_model;               /* see compiler.h */
typedef struct graft_partitioning graft_partitioning; /* see compiler.h */

/* The library's version, "0.1.0". */
GRAFT_API const char* graft_version(void);

/* ---- errors ----------------------------------------------------------------------------------------------------- */

/* What an error, a refusal or a finding is about. docs/errors.md explains each. */
typedef enum graft_code {
  GRAFT_CODE_OK = 0,
  /* files and models */
  GRAFT_CODE_FILE_NOT_FOUND = 1,
  GRAFT_CODE_IO_ERROR = 2,
  GRAFT_CODE_OUT_OF_MEMORY = 3,
  GRAFT_CODE_MALFORMED = 4,
  GRAFT_CODE_UNSUPPORTED_FORMAT = 5,
  GRAFT_CODE_LIMIT_EXCEEDED = 6,
  GRAFT_CODE_UNSAFE_PATH = 7,
  GRAFT_CODE_INVALID_MODEL = 8,
  GRAFT_CODE_UNSUPPORTED_OPERATOR = 9,
  GRAFT_CODE_INVALID_ATTRIBUTE = 10,
  GRAFT_CODE_MEMORY_LIMIT = 11,
  GRAFT_CODE_TIME_LIMIT = 12,
  /* types and shapes */
  GRAFT_CODE_DTYPE_MISMATCH = 20,
  GRAFT_CODE_SHAPE_MISMATCH = 21,
  GRAFT_CODE_RANK_MISMATCH = 22,
  GRAFT_CODE_VALUE_OUT_OF_RANGE = 23,
  /* why a node cannot be part of a Core ML program, and findings */
  GRAFT_CODE_UNSUPPORTED_DTYPE = 40,
  GRAFT_CODE_UNSUPPORTED_RANK = 41,
  GRAFT_CODE_UNSUPPORTED_ATTRIBUTE = 42,
  GRAFT_CODE_NEEDS_CONSTANT = 43,
  GRAFT_CODE_NEEDS_LATER_TARGET = 44,
  GRAFT_CODE_INT64_RANGE = 45,
  GRAFT_CODE_DYNAMIC_SHAPE = 46,
  GRAFT_CODE_EMPTY_TENSOR = 47,
  GRAFT_CODE_HOST_ONLY = 48,
  GRAFT_CODE_FP16_RANGE = 49,
  GRAFT_CODE_NOT_WORTH_IT = 50,
  GRAFT_CODE_CLAIMED_LATE_REFUSAL = 51,
  GRAFT_CODE_OVERRIDABLE_INITIALIZER = 52,
  GRAFT_CODE_PRECISION_NOTE = 53,
  GRAFT_CODE_UNKNOWN_TYPE = 54,
  GRAFT_CODE_OPEN_DIM = 55,
  GRAFT_CODE_INPUT_RANGE = 56,
  GRAFT_CODE_UNUSED_INPUT = 57,
  /* options and calls */
  GRAFT_CODE_UNKNOWN_OPTION = 70,
  GRAFT_CODE_INVALID_OPTION = 71,
  GRAFT_CODE_NOT_AVAILABLE_YET = 72,
  GRAFT_CODE_INVALID_ARGUMENT = 73,
  GRAFT_CODE_WOULD_OVERWRITE = 74,
  GRAFT_CODE_NOT_DELEGATED = 75,
  GRAFT_CODE_NOT_ACCURATE = 76,
  GRAFT_CODE_CANCELLED = 77,
  GRAFT_CODE_DEVICE_UNAVAILABLE = 78,
  /* a defect of Graft */
  GRAFT_CODE_INTERNAL = 100
} graft_code;

/* Who can do something about it. */
typedef enum graft_fault {
  GRAFT_FAULT_NONE = 0,
  GRAFT_FAULT_MODEL = 1,   /* the file */
  GRAFT_FAULT_OPTIONS = 2, /* the caller */
  GRAFT_FAULT_MACHINE = 3, /* files, memory, devices */
  GRAFT_FAULT_US = 4       /* Graft: please report it */
} graft_fault;

/* A graft_error that was asked of something else, as a node's refusal or a finding is, belongs to that.
 * All of these take NULL, which is no error: GRAFT_CODE_OK, "ok", GRAFT_FAULT_NONE, no text and nothing inside. */
GRAFT_API graft_code graft_error_code(const graft_error* error);
GRAFT_API const char* graft_error_code_name(const graft_error* error); /* "invalid_argument" */
GRAFT_API graft_fault graft_error_fault(const graft_error* error);
GRAFT_API const char* graft_error_message(const graft_error* error); /* the fact alone */
/* Where; empty where that is not known or says nothing. */
GRAFT_API const char* graft_error_file(const graft_error* error);
GRAFT_API const char* graft_error_node(const graft_error* error);
GRAFT_API const char* graft_error_op(const graft_error* error);
GRAFT_API const char* graft_error_tensor(const graft_error* error);
/* Changes that were tried and would help. NULL: no such index. */
GRAFT_API size_t graft_error_remedy_count(const graft_error* error);
GRAFT_API const char* graft_error_remedy(const graft_error* error, size_t index);
/* The reasons behind this one. NULL: no such index. */
GRAFT_API size_t graft_error_inner_count(const graft_error* error);
GRAFT_API const graft_error* graft_error_inner(const graft_error* error, size_t index);
/* The whole error as it should be shown: file, node, message, code, remedies and inner reasons, on one or more lines
 * without a final newline. */
GRAFT_API const char* graft_error_text(const graft_error* error);
GRAFT_API void graft_error_free(graft_error* error);

/* For layers on top, whose errors are then of the same kind. NULL pointers are empty text. */
typedef struct graft_error_info {
  size_t struct_size;
  int32_t code; /* a graft_code, not GRAFT_CODE_OK */
  const char* message;
  const char* file;
  const char* node;
  const char* op;
  const char* tensor;
} graft_error_info;
/* Returns the error that was asked for, or why there is none (invalid_argument: a wrong code or struct). */
GRAFT_API graft_error* graft_error_create(const graft_error_info* info);

/* ---- environment ------------------------------------------------------------------------------------------------ */

typedef enum graft_log_level {
  GRAFT_LOG_DEBUG = 0,
  GRAFT_LOG_INFO = 1,
  GRAFT_LOG_WARNING = 2,
  GRAFT_LOG_ERROR = 3
} graft_log_level;

/* Called from any thread that uses the library, also from several at once. They must not call back into Graft with the
 * object that is being worked on, and must not throw or jump out. `text` and `stage` live during the call only. */
typedef void (*graft_log_fn)(void* user, graft_log_level level, const char* text);
/* What is being done, and how much of it is done (0 to 1; negative: not known). */
typedef void (*graft_progress_fn)(void* user, const char* stage, double fraction);

typedef struct graft_env_options {
  size_t struct_size;
  int32_t threads; /* that take part in one run, the caller's included; 0: one a CPU */
  graft_log_fn log;
  void* log_user;
  graft_progress_fn progress;
  void* progress_user;
} graft_env_options;

/* What sessions share: threads, logger, progress. Graft owns no threads and writes to no stream beside this.
 * options: NULL for the defaults. The callbacks and their user pointers must live until the environment and every
 * session made in it are freed; the environment itself may be freed before its sessions.
 * Errors: invalid_argument (threads below 0 or above 1024), out_of_memory. */
GRAFT_API graft_error* graft_env_create(const graft_env_options* options, graft_env** out);
GRAFT_API void graft_env_free(graft_env* env);

/* ---- sessions --------------------------------------------------------------------------------------------------- */

/* Opens an ONNX file or a Core ML package (.mlpackage) and makes it ready to run.
 * names, values: `count` options by name, e.g. "device" = "coreml-ane", "precision" = "float16"; see graft_option_info.
 * The model's files are only needed until this returns: the session holds their bytes in memory of its own, and what
 * becomes of the files afterwards (written to, cut short, replaced, removed) changes no result and ends no program.
 * Nobody should write to them during this call: it then fails with io_error or malformed where it notices, which it
 * does by sizes and times of change, and never crashes. With the option "weights" = "mapped" the bytes stay in the
 * files, which saves their size in memory; then nobody may write to them before the session is freed: the system ends a
 * program (SIGBUS) that reads from a mapped file behind its new end. Removing and replacing them is fine. It is meant
 * for files that never change, such as those of an installed application. Only regular files are opened; a pipe, a
 * socket or a device is io_error. Errors: what is wrong with the file (file_not_found, io_error, malformed,
 * unsupported_operator with every such operator, ...), unknown_option, invalid_option, not_available_yet, not_delegated
 * (with every reason), device_unavailable, memory_limit: the option of that name bounds what a session and its runs may
 * take; its default is three quarters of the machine's memory, or of its container's; time_limit: that option bounds
 * how long opening it may take, and each run; its default is an hour. "none" or "0" is no limit for either. */
GRAFT_API graft_error* graft_session_create(const graft_env* env, const char* path, const char* const* names,
                                            const char* const* values, size_t count, graft_session** out);

/* The same for an ONNX model in memory. The weights are not copied: `data` is borrowed until the session is freed with
 * graft_session_free. folder: where external data lies, NULL when there is none; those files are held as above. */
GRAFT_API graft_error* graft_session_create_from_memory(const graft_env* env, const void* data, size_t bytes,
                                                        const char* folder, const char* const* names,
                                                        const char* const* values, size_t count, graft_session** out);
GRAFT_API void graft_session_free(graft_session* session);

/* A flag that any thread may set. Opening a session looks at it all the time, a run between steps and, in most of them,
 * every few milliseconds of one. */
GRAFT_API graft_error* graft_cancel_create(graft_cancel** out);
GRAFT_API void graft_cancel_set(graft_cancel* cancel);
GRAFT_API void graft_cancel_free(graft_cancel* cancel);

typedef struct graft_open_options {
  size_t struct_size;
  const char* path;   /* an ONNX file or a package; NULL: the model is in memory */
  const void* data;   /* else: an ONNX model, borrowed until the session is freed */
  size_t bytes;       /* of data */
  const char* folder; /* where its external data lies, NULL when there is none */
  const char* const* names;
  const char* const* values;
  size_t count;                           /* options by name */
  const graft_cancel* cancel;             /* NULL: opening cannot be cancelled */
  const graft_partitioning* partitioning; /* instead of path and data: what was partitioned, see compiler.h */
} graft_open_options;

/* The two functions above in one, for whoever wants to cancel it, and for what was partitioned already: the session's
 * partitions are the partitioning's, its options those of the model and of the partitioning and, after them, the ones
 * given here (which change nothing any more about how the model is read and partitioned). The partitioning may be freed
 * before the session; a model in memory may not. Errors: theirs, and cancelled. */
GRAFT_API graft_error* graft_session_open(const graft_env* env, const graft_open_options* options, graft_session** out);

/* The options of a session, as rows. `available` is 0 for names that are known and do nothing yet: only their default
 * is accepted. The text is static. */
typedef struct graft_option_info {
  size_t struct_size;
  const char* name;
  const char* values; /* the legal ones, in words */
  const char* fallback;
  const char* doc;
  int32_t available;
  const char* placeholder; /* what stands for a value in help: "WHERE"; may be empty */
} graft_option_info;
GRAFT_API size_t graft_session_option_count(void);
GRAFT_API graft_error* graft_session_option(size_t index, graft_option_info* out);

/* Element types have ONNX's numbers (TensorProto.DataType). */
typedef enum graft_dtype {
  GRAFT_DTYPE_INVALID = 0,
  GRAFT_DTYPE_FLOAT32 = 1,
  GRAFT_DTYPE_UINT8 = 2,
  GRAFT_DTYPE_INT8 = 3,
  GRAFT_DTYPE_UINT16 = 4,
  GRAFT_DTYPE_INT16 = 5,
  GRAFT_DTYPE_INT32 = 6,
  GRAFT_DTYPE_INT64 = 7,
  GRAFT_DTYPE_STRING = 8, /* data: an array of const char* */
  GRAFT_DTYPE_BOOL = 9,
  GRAFT_DTYPE_FLOAT16 = 10,
  GRAFT_DTYPE_FLOAT64 = 11,
  GRAFT_DTYPE_UINT32 = 12,
  GRAFT_DTYPE_UINT64 = 13,
  GRAFT_DTYPE_COMPLEX64 = 14,
  GRAFT_DTYPE_COMPLEX128 = 15,
  GRAFT_DTYPE_BFLOAT16 = 16,
  GRAFT_DTYPE_FLOAT8E4M3FN = 17,
  GRAFT_DTYPE_FLOAT8E4M3FNUZ = 18,
  GRAFT_DTYPE_FLOAT8E5M2 = 19,
  GRAFT_DTYPE_FLOAT8E5M2FNUZ = 20,
  GRAFT_DTYPE_UINT4 = 21,
  GRAFT_DTYPE_INT4 = 22,
  GRAFT_DTYPE_FLOAT4E2M1 = 23,
  GRAFT_DTYPE_FLOAT8E8M0 = 24,
  GRAFT_DTYPE_UINT2 = 25,
  GRAFT_DTYPE_INT2 = 26
} graft_dtype;

/* An input or output by its ONNX name and type. What is no tensor has GRAFT_DTYPE_INVALID, what has no rank (a model
 * that could be read and not understood may not say one) has rank -1. A dim that is open has shape -1, a name (or
 * formula) in `symbols`, and the range [min, max]; max is INT64_MAX when there is no bound. */
typedef struct graft_port_info {
  size_t struct_size;
  const char* name;
  graft_dtype dtype;
  int32_t rank;
  const int64_t* shape;       /* rank entries */
  const char* const* symbols; /* rank entries: "height", or "1" for a dim that is known */
  const int64_t* min;         /* rank entries */
  const int64_t* max;         /* rank entries */
  const char* type;           /* "fp32"; in words where it is no tensor: "sequence" */
  int32_t image;              /* packages: 1 where Core ML takes or gives an image; pixels are 0 to 255 */
  graft_dtype coreml_dtype;   /* ports of partitions: what they have in the Core ML program */
  graft_dtype element_dtype;  /* what the tensors of a sequence or an optional have; GRAFT_DTYPE_INVALID for all else */
} graft_port_info;
/* "fp32", "int64", "bool", ...; "invalid" for what is no element type. */
GRAFT_API const char* graft_dtype_name(int32_t dtype);

/* 0 for NULL. */
GRAFT_API size_t graft_session_input_count(const graft_session* session);
GRAFT_API size_t graft_session_output_count(const graft_session* session);
/* Errors: invalid_argument for an index that does not exist. */
GRAFT_API graft_error* graft_session_input(const graft_session* session, size_t index, graft_port_info* out);
GRAFT_API graft_error* graft_session_output(const graft_session* session, size_t index, graft_port_info* out);
/* Initializers that an ONNX file (IR 4 and later) also lists as graph inputs: they have defaults and need not be given;
 * see graft_session_run. */
GRAFT_API size_t graft_session_initializer_count(const graft_session* session);
GRAFT_API graft_error* graft_session_initializer(const graft_session* session, size_t index, graft_port_info* out);

/* The model's metadata: under a key (NULL when it has none), and all entries by index, in the order of their keys. */
typedef struct graft_entry {
  size_t struct_size;
  const char* key;
  const char* value;
} graft_entry;
GRAFT_API const char* graft_session_metadata(const graft_session* session, const char* key);
GRAFT_API size_t graft_session_metadata_count(const graft_session* session);
GRAFT_API graft_error* graft_session_metadata_entry(const graft_session* session, size_t index, graft_entry* out);

/* ---- where it runs ---------------------------------------------------------------------------------------------- */

typedef enum graft_where {
  GRAFT_WHERE_COREML = 0, /* in a Core ML program */
  GRAFT_WHERE_FOLDED = 1, /* computed while compiling, or needed by no output */
  GRAFT_WHERE_HOST = 2    /* on the host's engine */
} graft_where;

/* In three words: what was asked for, what model and machine allow, what is planned. Nobody can see what Core ML does
 * with a program, so nothing here says where it "ran". */
typedef struct graft_placement {
  size_t struct_size;
  const char* requested;
  const char* allowed;
  const char* planned;
  int32_t nodes, claimed, folded, host; /* ONNX models; all 0 for packages */
  int32_t partitions;
} graft_placement;
GRAFT_API graft_error* graft_session_placement(const graft_session* session, graft_placement* out);

typedef struct graft_node_info {
  size_t struct_size;
  const char* name;
  const char* op;
  const char* domain;
  graft_where where;
  int32_t partition;       /* GRAFT_WHERE_COREML: which one; else -1 */
  graft_code reason;       /* GRAFT_WHERE_HOST: why; else, and when nothing was attempted, GRAFT_CODE_OK */
  const char* reason_text; /* rendered, with remedies; empty when there is none */
  int32_t obstacle;        /* the reason's place among all, what cuts off most first; -1: there is none */
  int32_t cut_nodes;       /* what it cuts off: the node, and what runs before or after it, whichever is less */
  double cut_flops;        /* the same as floating-point operations at default sizes */
} graft_node_info;
/* The top-level nodes of an ONNX model in the graph's order; packages have none. A node is told as it is at the time of
 * the call: where its Core ML program could not be loaded, or failed in a run, it is on the host by now. The first
 * question about a node with a reason looks for what would change the reasons of all nodes, which may take longer than
 * creating the session did. */
GRAFT_API size_t graft_session_node_count(const graft_session* session);
GRAFT_API graft_error* graft_session_node(const graft_session* session, size_t index, graft_node_info* out);

/* What is worth knowing about the model as a whole (treated constants, baked initializers). */
GRAFT_API size_t graft_session_finding_count(const graft_session* session);
GRAFT_API const graft_error* graft_session_finding(const graft_session* session,
                                                   size_t index); /* NULL: no such index */

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* A tensor that goes in: dense, row-major, aligned to its element type; of types of less than a byte two, four or eight
 * elements a byte, the first in the lowest bits. Or a sequence of tensors, or an optional, which is a sequence of none
 * or one: then dtype is 0 and `elements` are its tensors. An optional also takes what it may hold. */
typedef struct graft_input {
  size_t struct_size;
  const char* name; /* NULL: the input at this place in the array */
  int32_t dtype;    /* a graft_dtype */
  int32_t rank;
  const int64_t* shape; /* rank entries; may be NULL when rank is 0 */
  const void* data;
  size_t bytes; /* of data; must be what dtype and shape need. Strings: count * sizeof(const char*) */
  const struct graft_input* elements; /* sequences: element_count entries, whose names are not read */
  size_t element_count;
} graft_input;

/* A tensor that comes out. With data, the result is written there and dtype, shape and bytes must be the result's.
 * Without (data NULL), `tensor` receives a tensor that is the caller's; dtype, rank, shape and bytes are not read.
 * Strings and dictionaries (a classifier's label and probabilities) come as tensors only. */
typedef struct graft_output {
  size_t struct_size;
  const char* name; /* NULL: the output at this place in the array */
  int32_t dtype;    /* a graft_dtype */
  int32_t rank;
  const int64_t* shape;
  void* data;
  size_t bytes;
  graft_tensor* tensor; /* out */
} graft_output;

/* States of a Core ML package: what it keeps from one run to the next, such as a cache of keys and values. They are no
 * inputs and are not given; a graft_state holds them, all zeros when it is made. Make one for every sequence of runs
 * that belong together: any number of them may be in use with one session, each by one run at a time.
 * Models without states take a graft_state that changes nothing. */
GRAFT_API size_t graft_session_state_count(const graft_session* session);
GRAFT_API graft_error* graft_session_state(const graft_session* session, size_t index, graft_port_info* out);
/* The session may be freed before it. Errors: invalid_argument, out_of_memory, memory_limit. */
GRAFT_API graft_error* graft_state_create(const graft_session* session, graft_state** out);
GRAFT_API void graft_state_free(graft_state* state);

typedef struct graft_run_options {
  size_t struct_size;
  const graft_cancel* cancel; /* NULL: the run cannot be cancelled */
  graft_state* state;         /* of this session; NULL: states begin with zeros and end with the run. A run that fails
                                 leaves in it what it had written so far */
} graft_run_options;

/* Runs the model once. Any number of threads may run one session at once; none waits for another.
 * Every input must be given, in any order when named; only the outputs that are wanted need to be. An initializer that
 * the ONNX file (IR 4 and later) also lists as a graph input is not counted among the inputs, but may be given by its
 * name; such a run is made on the host. An input with
 * another size than last time is fine where the model's dim is open. The first run of a shape plans; later ones with
 * all outputs in the caller's memory allocate nothing but what partitions on the host need.
 * options: NULL for none. On an error no `tensor` is set, and the caller's output memory may be written in part.
 * Errors: invalid_argument (names, counts, element types, shapes, sizes; outputs must not overlap; a state of another
 * session, or in use by another run), cancelled, out_of_memory, time_limit, memory_limit (a result counts until this
 * function hands it over), and what operators report about their data (value_out_of_range, ...), which is an error of
 * this run alone. */
GRAFT_API graft_error* graft_session_run(const graft_session* session, const graft_input* inputs, size_t input_count,
                                         graft_output* outputs, size_t output_count, const graft_run_options* options);

typedef struct graft_tensor_info {
  size_t struct_size;
  graft_dtype dtype;
  int32_t rank;
  const int64_t* shape;
  const void* data; /* 64-byte aligned; strings: an array of const char* */
  size_t bytes;
  const graft_tensor* const*
      elements; /* of a sequence, which are the sequence's own; dtype is GRAFT_DTYPE_INVALID then */
  size_t element_count;
  const graft_tensor* keys; /* of a dictionary, whose values the tensor's elements are: as many, strings or int64; it
                               belongs to the tensor. NULL where there are none */
} graft_tensor_info;
/* The pointers live as long as the tensor, which may outlive its session. */
GRAFT_API graft_error* graft_tensor_get(const graft_tensor* tensor, graft_tensor_info* out);
/* Elements first to first + count as doubles, whatever real element type the tensor has: for printing and statistics.
 * Errors: invalid_argument (strings, complex numbers, a range outside the tensor). */
GRAFT_API graft_error* graft_tensor_numbers(const graft_tensor* tensor, size_t first, size_t count, double* out);
GRAFT_API void graft_tensor_free(graft_tensor* tensor);

/* The elements of `from` as another element type, into to->data: of the same shape, both real or bool. *exact receives
 * 1 where all stay what they are (NaN stays NaN), else 0, and then what is in to->data is no result. fp64 may be
 * rounded to fp32, which counts as exact unless something becomes infinite. Names are not read, to->tensor is not set.
 * Errors: invalid_argument. */
GRAFT_API graft_error* graft_convert(const graft_input* from, graft_output* to, int32_t* exact);

/* Makes up what is not given, for trying a model out: tensors[i] receives a tensor for input i of the session, or NULL
 * where `given` (count entries, checked as for a run) has it. `tensors` has graft_session_input_count entries. The same
 * seed gives the same numbers on every machine: floats from -1 to 1 (pixels for images), integers and bools 0 or 1.
 * Open dims: by the session's option "shapes", by what is given under the same symbol, by the model's default, else as
 * small as can be. On an error nothing is set. Errors: invalid_argument (what is given; an element type that cannot be
 * made up), invalid_option (shapes that do not fit), limit_exceeded, memory_limit. */
GRAFT_API graft_error* graft_session_random_inputs(const graft_session* session, const graft_input* given, size_t count,
                                                   uint64_t seed, graft_tensor** tensors);

#ifdef __cplusplus
}
#endif

#endif /* GRAFT_GRAFT_H_ */
