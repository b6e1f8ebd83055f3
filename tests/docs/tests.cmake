# SPDX-License-Identifier: MIT

amqpqt_test(docs tst_layers)
foreach(layer base wire engine transport client models)
    get_target_property(moc_sources amqpqt_${layer} AMQPQT_MOC_FILES)
    if(moc_sources)
        list(APPEND layers_with_moc ${layer})
    endif()
endforeach()
list(JOIN layers_with_moc "," layers_with_moc)
target_compile_definitions(tst_layers PRIVATE AMQPQT_LAYERS_WITH_MOC="${layers_with_moc}")

amqpqt_test(docs tst_docs)
if(TARGET docs) # if qdoc is installed, tests that the reference is complete and that its links resolve
    add_test(NAME reference COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target docs)
    set_tests_properties(reference PROPERTIES LABELS docs TIMEOUT 120)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/headers.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/readme.cmake)
