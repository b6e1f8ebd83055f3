# SPDX-License-Identifier: MIT
#
# Builds AmqpQt with SHARED=ON or OFF, with the QML module if QML is ON, installs it into WORK_DIR, and builds and runs
# an application with the installed files. Called as cmake -D… -P package.cmake.

function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR}/prefix ${WORK_DIR}/consumer) # removes the results of earlier runs
set(common -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER}
    -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DCMAKE_CXX_FLAGS_DEBUG=)

run(${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${WORK_DIR}/library ${common} -DBUILD_SHARED_LIBS=${SHARED}
    -DAMQPQT_BUILD_QML=${QML} -DAMQPQT_BUILD_TESTS=OFF -DAMQPQT_BUILD_EXAMPLES=OFF -DAMQPQT_BUILD_BENCHMARKS=OFF
    -DCMAKE_INSTALL_PREFIX=${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/library --config ${BUILD_TYPE})
run(${CMAKE_COMMAND} --install ${WORK_DIR}/library --config ${BUILD_TYPE})

run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/consumer ${common} -DQML=${QML} -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix)
if(WIN32)
    set(ENV{PATH} "${WORK_DIR}/prefix/bin;$ENV{PATH}")
endif()
run(${CMAKE_COMMAND} --build ${WORK_DIR}/consumer --config ${BUILD_TYPE} --target run)
