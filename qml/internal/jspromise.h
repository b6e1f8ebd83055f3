// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qpointer.h>
#include <QtQml/qjsengine.h>
#include <QtQml/qjsvalue.h>

namespace AmqpQt
{

// A JavaScript promise that C++ settles. It is settled by an event posted to the engine, so settling is safe anywhere,
// even while the engine destroys its objects; nothing happens once the engine is gone.
class JsPromise
{
public:
    JsPromise() = default; // an empty promise
    JsPromise(QJSEngine *engine, const QJSValue &ends);

    bool exists() const { return !m_engine.isNull(); }
    QJSValue value() const; // the Promise object of JavaScript
    void resolve();         // resolves the promise with undefined
    void reject(const Error &error);

private:
    QPointer<QJSEngine> m_engine;
    QJSValue m_ends;
};

// Creates the promises of an element.
class JsPromiseFactory
{
public:
    JsPromise create(QJSEngine *engine);

private:
    QJSValue m_function;
};

} // namespace AmqpQt
