// SPDX-License-Identifier: MIT
//
// AmqpQt's own compiler flags must not apply to the projects that use it.

#ifdef QT_NO_KEYWORDS
#    error "QT_NO_KEYWORDS is passed on"
#endif
#ifdef QT_NO_CAST_FROM_ASCII
#    error "QT_NO_CAST_FROM_ASCII is passed on"
#endif
#ifdef _GLIBCXX_ASSERTIONS
#    error "_GLIBCXX_ASSERTIONS is passed on"
#endif
#ifdef AmqpQt_EXPORTS
#    error "AmqpQt_EXPORTS is passed on"
#endif

#if defined(__GNUC__) && __cplusplus != 201703L
#    error "the standard of the parent project is not kept"
#endif

int flags()
{
    return 0;
}
