# Installs the build to a folder of its own, builds examples/ against it with find_package(Graft), and runs the result.
cmake_minimum_required(VERSION 3.25)
set(where ${BUILD}/tests/installed_example)
file(REMOVE_RECURSE ${where})
file(MAKE_DIRECTORY ${where})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "failed (${code}): ${ARGN}\n${out}\n${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${where}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples -B ${where}/build -DCMAKE_PREFIX_PATH=${where}/prefix
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
run(${CMAKE_COMMAND} --build ${where}/build)

# The three images as PGM, by a few lines of Python: PNGs made here are 8-bit grey without interlacing.
file(WRITE ${where}/to_pgm.py [==[
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
at, body = 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at : at + 8])
    if kind == b"IHDR":
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[at + 8 : at + 21])
        assert (depth, colour, interlace) == (8, 0, 0)
    if kind == b"IDAT":
        body += data[at + 8 : at + 8 + size]
    at += size + 12
raw, rows = zlib.decompress(body), [bytearray(width)]
for y in range(height):
    kind, line = raw[y * (width + 1)], bytearray(raw[y * (width + 1) + 1 : (y + 1) * (width + 1)])
    for x in range(width):
        a, b, c = line[x - 1] if x else 0, rows[-1][x], rows[-1][x - 1] if x else 0
        p = a + b - c
        paeth = min((a, b, c), key=lambda v: abs(p - v))
        line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
    rows.append(line)
open(sys.argv[2], "wb").write(b"P5 %d %d 255\n" % (width, height) + b"".join(rows[1:]))
]==])

# The installed tool makes the package that the example reads.
run(${where}/prefix/bin/graft compile ${SOURCE}/models/digits.onnx -o ${where}/digits.mlpackage)
foreach(pair three=3 seven=7 eight=8)
  string(REGEX MATCH "^([a-z]+)=([0-9])$" _ ${pair})
  set(name ${CMAKE_MATCH_1})
  set(digit ${CMAKE_MATCH_2})
  run(${PYTHON} ${where}/to_pgm.py ${SOURCE}/models/digit_${name}.png ${where}/${name}.pgm)
  foreach(model ${SOURCE}/models/digits.onnx ${where}/digits.mlpackage)
    foreach(device cpu coreml-ane)
      run(${where}/build/classify ${model} ${where}/${name}.pgm ${device})
      if(NOT output MATCHES "class      ${digit} ${digit} ")
        message(FATAL_ERROR "${model} on ${device}: expected ${digit} for ${name}.pgm, got\n${output}")
      endif()
    endforeach()
  endforeach()
endforeach()

# A mistake is a sentence and exit code 1, not a crash.
execute_process(COMMAND ${where}/build/classify ${where}/none.onnx ${where}/three.pgm RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 1 OR NOT err MATCHES "file_not_found")
  message(FATAL_ERROR "a missing model: exit code ${code}, ${err}")
endif()
message("${output}")
