# Our part of the engine, built and installed with llama.cpp's libraries: llama-cpp-python's own CMakeLists.txt reads this
# file after its project() line (CMAKE_PROJECT_llama_cpp_INCLUDE, see packaging/devkit/engine.py).
add_library(hearth SHARED "${CMAKE_CURRENT_LIST_DIR}/choose.c" "${CMAKE_CURRENT_LIST_DIR}/burst.c")
set_target_properties(hearth PROPERTIES C_STANDARD 11 C_VISIBILITY_PRESET hidden)
if(MSVC)
    target_compile_options(hearth PRIVATE /O2)
else()
    target_compile_options(hearth PRIVATE -O3)
endif()
install(TARGETS hearth
        LIBRARY DESTINATION ${SKBUILD_PLATLIB_DIR}/llama_cpp/lib
        RUNTIME DESTINATION ${SKBUILD_PLATLIB_DIR}/llama_cpp/lib
        ARCHIVE DESTINATION ${SKBUILD_PLATLIB_DIR}/llama_cpp/lib)
