# SPDX-License-Identifier: MIT
#
# Builds and runs an application that has AmqpQt as a part of its project, in every supported way, and installs that
# project. SHARED and QML are ON or OFF. Called as cmake -D… -P subproject.cmake.
#
# All ways share WORK_DIR, so the library is compiled once, and linked again only if a way changes the inputs of the linker.

function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE ${WORK_DIR}/CMakeCache.txt)
set(common -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER}
    -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DCMAKE_CXX_FLAGS_DEBUG= -DAMQPQT_BUILD_QML=${QML} -DQML=${QML}
    -DAMQPQT_SOURCE_DIR=${SOURCE_DIR})
if(NOT SHARED) # otherwise the library's own default applies
    list(APPEND common -DBUILD_SHARED_LIBS=OFF)
endif()

function(build_and_run fetchcontent exclude_from_all automoc)
    run(${CMAKE_COMMAND} -S ${PARENT_DIR} -B ${WORK_DIR} ${common} -DFETCHCONTENT=${fetchcontent}
        -DEXCLUDE_FROM_ALL=${exclude_from_all} "-DAUTOMOC=${automoc}")
    run(${CMAKE_COMMAND} --build ${WORK_DIR} --config ${BUILD_TYPE} --target run)
endfunction()

#             FetchContent  EXCLUDE_FROM_ALL  AUTOMOC
build_and_run(OFF           ON                "after")
build_and_run(OFF           ON                "before")
build_and_run(OFF           OFF               "setup after")
build_and_run(OFF           OFF               "of the target")
build_and_run(ON            OFF               "setup before")
build_and_run(ON            OFF               "after")

# The parent's installation is as complete as AmqpQt's own.
file(REMOVE_RECURSE ${WORK_DIR}/prefix ${WORK_DIR}/consumer)
run(${CMAKE_COMMAND} --build ${WORK_DIR} --config ${BUILD_TYPE})
run(${CMAKE_COMMAND} --install ${WORK_DIR} --config ${BUILD_TYPE} --prefix ${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/consumer ${common} -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix)
if(WIN32)
    set(ENV{PATH} "${WORK_DIR}/prefix/bin;$ENV{PATH}")
endif()
run(${CMAKE_COMMAND} --build ${WORK_DIR}/consumer --config ${BUILD_TYPE} --target run)
