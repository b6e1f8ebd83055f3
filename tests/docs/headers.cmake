# SPDX-License-Identifier: MIT
#
# Each public header compiles alone, as C++17 and as C++20, and may be included twice.

file(GLOB public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include/AmqpQt/*)
list(APPEND public_headers AmqpQt/amqpqt_export.h AmqpQt/version.h)
foreach(standard 17 20)
    set(sources "")
    foreach(header ${public_headers})
        set(source ${CMAKE_CURRENT_BINARY_DIR}/headers${standard}/${header}.cpp)
        file(CONFIGURE OUTPUT ${source} CONTENT "#include <${header}>\n#include <${header}>\n")
        list(APPEND sources ${source})
    endforeach()
    add_library(tst_headers_cpp${standard} OBJECT ${sources})
    set_target_properties(tst_headers_cpp${standard} PROPERTIES CXX_STANDARD ${standard})
    target_include_directories(tst_headers_cpp${standard} PRIVATE
        ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
    target_link_libraries(tst_headers_cpp${standard} PRIVATE Qt6::Core Qt6::Network amqpqt_build_flags)
endforeach()
