# The rooms of the house (docs/ARCHITECTURE.md). A room is one static library made of the *.cc beside its CMakeLists.txt,
# and it links only the rooms that its line names: an include that breaks the diagram does not link, and the layers test
# names the file and the line.

find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
if(PRUNELLA_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

find_program(PRUNELLA_MOLD mold)

# Warnings, hardening and sanitizers that every target of the project gets.
add_library(prunella_options INTERFACE)
target_include_directories(prunella_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(prunella_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                       -Werror=return-type -Werror=unused-result -Werror=switch -fstack-protector-strong
                       -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
target_compile_definitions(prunella_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)
target_link_options(prunella_options INTERFACE -Wl,-z,relro,-z,now)
if(CMAKE_UNITY_BUILD)
  # A class that holds one of its own file's unnamed namespace is fine in a source; only a unity file makes it look like a header's.
  target_compile_options(prunella_options INTERFACE -Wno-subobject-linkage)
endif()
if(PRUNELLA_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_link_options(prunella_options INTERFACE -fuse-ld=mold)
endif()
if(PRUNELLA_SANITIZE)
  target_compile_options(prunella_options INTERFACE -fsanitize=${PRUNELLA_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(prunella_options INTERFACE -fsanitize=${PRUNELLA_SANITIZE})
endif()
if(PRUNELLA_FUZZ)
  target_compile_options(prunella_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(prunella_options INTERFACE -fsanitize=address,undefined)
endif()

# prunella_room(NAME [LINKS target...] [EXCEPT file...]): library prunella_NAME from *.cc here, and NAME_test from *_test.cc here.
# EXCEPT names files that a library of their own has, which LINKS then names.
function(prunella_room name)
  cmake_parse_arguments(ROOM "" "" "LINKS;TEST_LINKS;EXCEPT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(ROOM_EXCEPT)
    list(TRANSFORM ROOM_EXCEPT PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    list(REMOVE_ITEM sources ${ROOM_EXCEPT})
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(prunella_${name} STATIC ${sources})
    target_link_libraries(prunella_${name} PUBLIC prunella_options ${ROOM_LINKS})
  else()
    add_library(prunella_${name} INTERFACE)
    target_link_libraries(prunella_${name} INTERFACE prunella_options ${ROOM_LINKS})
  endif()
  if(PRUNELLA_TESTS AND tests)
    prunella_test(${name}_test SOURCES ${tests} LINKS prunella_${name} ${ROOM_TEST_LINKS})
  endif()
endfunction()

# prunella_test(NAME SOURCES file... [LINKS target...]): a GoogleTest program whose cases CTest runs one by one.
function(prunella_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} prunella_options GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PRUNELLA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120)
endfunction()

# prunella_program(NAME OUTPUT program-name LINKS ...): an executable from the *.cc here, without tests.
function(prunella_program name)
  cmake_parse_arguments(PROGRAM "" "OUTPUT" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_executable(${name} ${sources})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME ${PROGRAM_OUTPUT} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  target_link_libraries(${name} PRIVATE prunella_options ${PROGRAM_LINKS})
  if(PRUNELLA_TESTS AND tests)
    list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
    prunella_test(${name}_test SOURCES ${sources} ${tests} LINKS ${PROGRAM_LINKS})
  endif()
endfunction()
