// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/turnscheduler_p.h"

#include <QtCore/qthread.h>

#include <functional>
#include <utility>

namespace AmqpQt::Test
{

// Takes the turns of a scheduler as a connection does.
class Taker final : public TurnTaker
{
public:
    Taker()
        : scheduler(this, nullptr)
    {
    }

    void takeTurn() override
    {
        ++turns;
        thread = QThread::currentThread();
        scheduler.beginTurn();
        mayDispatch = scheduler.mayDispatch();
        if (inTurn)
            inTurn();
        scheduler.endTurn(std::exchange(hasWork, false));
    }
    void deadlineReached() override { ++deadlines; }

    int turns = 0;
    int deadlines = 0;
    bool mayDispatch = false;
    bool hasWork = false;
    QThread *thread = nullptr;
    std::function<void()> inTurn;
    TurnScheduler scheduler;
};

} // namespace AmqpQt::Test
